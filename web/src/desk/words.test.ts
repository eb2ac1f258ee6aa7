import { describe, expect, it } from "vitest";
import type { Description } from "../api/types";
import { hasProjections, isResult, measureText, pageWords, sizeAlong, sizesText } from "./words";

const about = (axes: string[], sizes: number[], problem: string | null = null): Description =>
  ({ problem, streams: [{ name: "data", axes, sizes, dtype: "float32", unit: null }] }) as unknown as Description;
const plain = (text: string): string => text.replace(/\u2009/g, " ");

describe("words of the page", () => {
  it.each([
    ["the last fits the first (--angles 0:360)", "the last fits the first (“Angles”: 0:360)"],
    ["each line is divided by it (--values transmission leaves it)", "each line is divided by it (“Values are”: transmission leaves it)"],
    ["a.tiff holds sinograms, by its name (order: sinogram)", "a.tiff holds sinograms, by its name (“Images are”: sinograms)"],
    ["Give it, such as --set source.dark_level=0.", "Give it, such as “Counts in the dark”."],
    ["in the near field: --set ptychography.regime=near, and --set ptychography.source_distance='3 mm' for", "in the near field: “regime” of ptychography: near, and “source_distance” of ptychography: '3 mm' for"],
    ["Choose another path, or set overwrite to true (on the command line: --set sink.overwrite=true).", "Choose another path, or tick “Overwrite what is there”."],
    ["Convert it, or name the source with --set source.use=NAME if one of them reads it.", "Convert it."],
    ["Expected a scan in a layout that 'firstlight list sources' shows, such as NXtomo or TIFF.", "Expected a scan such as NXtomo or TIFF."],
    ["The disk has 32768 byte free. (path = '/data/a.h5') Free some space: what was written stays, and --resume goes on behind it.", "The disk has 32.0 KiB free. Free some space: what was written stays."],
    ["nothing to change", "nothing to change"],
  ])("%s", (said, shown) => expect(plain(pageWords(said))).toBe(shown));
  it("counts in words", () => {
    const [stream] = about(["angle", "row", "col"], [181, 1, 640]).streams;
    expect(stream && sizesText(stream)).toBe("181 projections × 1 row × 640 columns");
  });
  it("writes measures in the unit that reads best", () => {
    expect([measureText(17000, "eV"), measureText(0.00198, "mm"), measureText(90, "deg"), measureText(5.5e-5, "m")].map(plain)).toEqual(["17 keV", "1.98 µm", "90°", "55 µm"]);
  });
});

describe("what a file is", () => {
  it("tells a result from a scan that lacks something", () => {
    expect(isResult(about(["z", "y", "x"], [2, 640, 640], "This is no scan"))).toBe(true);
    expect(isResult(about(["angle", "row", "col"], [181, 2, 640], "no angles"))).toBe(false);
    expect(isResult(about(["scan_y", "scan_x", "row", "col"], [3, 2, 144, 144], "no positions"))).toBe(false);
  });
  it("has slices where there are projections", () => {
    expect(hasProjections(about(["angle", "row", "col"], [181, 2, 640]))).toBe(true);
    expect(hasProjections(about(["position", "row", "col"], [200, 100, 100]))).toBe(false);
    expect(sizeAlong(about(["angle", "row", "col"], [181, 2, 640]), "row")).toBe(2);
    expect(sizeAlong(null, "row")).toBeNull();
  });
});
