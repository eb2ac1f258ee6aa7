import { describe, expect, it } from "vitest";
import { decodeFrame, polar } from "../api/message";
import type { RunDetail, StepInfo, ViewInfo } from "../api/types";
import { canBeLog } from "./LineView";
import { sharesOf } from "./ModeLabels";
import { colorTable, paintComplex, phasePlace } from "./colormaps";
import { binnedOf, findDetectors, tidy } from "./detectors";
import { extentOf, isPlaces, placesOn } from "./places";
import { findPlanes } from "./planes";
import { changeOf, placeOfId, pointOf, withSharedPoint } from "./scan";
import { arrangeViews, firstShown, kindOf } from "./table";

const view = (name: string, axes: string, shape: number[], more: Partial<ViewInfo> = {}): ViewInfo => {
  const [step = "", output = "data"] = name.split(".");
  return { name, step, output, axes: axes.split(" "), shape, unit: null, pixel_size: null, pixel_unit: null, follows: {}, ...more };
};
const properties = Object.fromEntries(["shape", "center", "inner", "outer", "scan_y", "scan_x"].map((name) => [name, { type: "number" }]));
const step = (name: string, values: StepInfo["values"]): StepInfo =>
  ({ name, use: "live_patterns", title: name, schema: { properties }, values, held: {}, live: true, per_frame: false });
const VIEWS = [
  view("patterns.image", "scan_y scan_x", [20, 30], { follows: { scan_y: "patterns.scan_y", scan_x: "patterns.scan_x" } }),
  view("patterns.pattern", "row col", [64, 48]), view("patterns.mean", "row col", [64, 48]), view("bright", "scan_y scan_x", [20, 30]),
];
const run = (steps: StepInfo[], more: Partial<RunDetail> = {}): RunDetail => ({ state: "running", views: VIEWS, steps, changes: [], ...more }) as unknown as RunDetail;

describe("virtual detectors", () => {
  const disk = step("patterns", { shape: "disk", center: null, inner: 4, outer: null });
  it("are found by their parameters, with the middle and radius that they have when none is given", () => {
    expect(findDetectors(run([disk]))).toEqual([{ step: "patterns", ring: false, center: [31.5, 23.5], inner: 0, outer: 12, fixed: false }]);
    expect(findDetectors(run([step("d", { shape: "annulus", center: [3, 4], inner: 2, outer: 9 })]))[0]).toMatchObject({ ring: true, center: [3, 4], inner: 2, outer: 9 });
    expect(findDetectors(run([step("d", { shape: "mask" })]))).toEqual([]);
    expect(findDetectors(run([disk], { views: VIEWS.slice(3) }))).toEqual([]);
  });
  it("tell that patterns are kept binned, on what is made of them, and whether frames can be read again", () => {
    const kept = step("patterns", { binning: 4, exact: false });
    expect(binnedOf(run([kept]), VIEWS[0]!)).toEqual({ by: 4, exact: false, choice: true });
    expect(binnedOf(run([kept]), VIEWS[1]!)).toMatchObject({ by: 4 });
    expect(binnedOf(run([kept]), VIEWS[2]!)).toBeNull(); // the mean has all pixels
    expect(binnedOf(run([kept], { state: "done" }), VIEWS[0]!)).toMatchObject({ choice: false });
    expect(binnedOf(run([step("patterns", { binning: 1, exact: false })]), VIEWS[0]!)).toBeNull();
  });
  it("lie fast when the run has ended", () => expect(findDetectors(run([disk], { state: "done" }))[0]?.fixed).toBe(true));
  it("stay inside the frame, and their inner radius below the outer", () => {
    const ring = { step: "d", ring: true, center: [10, 10] as [number, number], inner: 5, outer: 9, fixed: false };
    expect(tidy(ring, { center: [-3, 12.3456] }, [64, 48])).toEqual({ center: [0, 12.3] });
    expect(tidy(ring, { outer: 1 }, [64, 48])).toEqual({ outer: 5.5 });
    expect(tidy(ring, { inner: 30 }, [64, 48])).toEqual({ inner: 8.5 });
    expect(tidy(ring, { outer: 1e9 }, [64, 48])).toEqual({ outer: 80 });
  });
});

describe("scan points", () => {
  it("are shared by the pictures of a scan", () => expect(withSharedPoint(VIEWS)[3]?.follows).toEqual(VIEWS[0]?.follows));
  it("are the newest until one is chosen", () => {
    const planes = (values: StepInfo["values"]) => findPlanes(run([step("patterns", values)]));
    expect(planes({ scan_y: null, scan_x: null }).map((p) => [p.axis, p.max, p.newest])).toEqual([["scan_y", 19, true], ["scan_x", 29, true]]);
    const chosen = planes({ scan_y: 3, scan_x: 7 });
    const find = (path: string | undefined) => chosen.find((p) => p.path === path);
    expect(pointOf(VIEWS[1] as ViewInfo, { list: chosen, find, move: () => undefined, release: () => undefined })).toMatchObject({ y: { value: 3, newest: false }, x: { value: 7 } });
  });
  it("are counted line by line", () => expect(placeOfId(65, 30)).toEqual({ y: 2, x: 5 }));
  it("keep what a step gave for them until its last change", () => {
    const changes = [{ step: "bright", parameter: "outer", id: 40 }, { step: "bright", parameter: "outer", id: 65 }, { step: "dpc", parameter: "rotation", id: 80 }];
    const changed = run([], { changes: changes as unknown as RunDetail["changes"] });
    expect(changeOf(changed, VIEWS[3] as ViewInfo)?.id).toBe(65);
    expect(changeOf(changed, VIEWS[0] as ViewInfo)).toBeNull();
  });
});

describe("views of any run", () => {
  const PTYCHO = [
    view("p.object", "y x", [90, 90]), view("p.phase", "y x", [90, 90]), view("p.amplitude", "y x", [90, 90]), view("p.probe", "mode v u", [2, 64, 64]),
    view("p.shares", "mode", [2]), view("p.positions", "point yx", [100, 2]), view("p.error", "iteration", [9]), view("frame", "row col", [64, 64]),
    view("p.pattern", "line pixel", [64, 64]), view("p.background", "line pixel", [64, 64]),
  ];
  it("find their components", () => {
    expect(PTYCHO.map((v) => kindOf(v)?.name)).toEqual(["image", "image", "image", "image", "line", "places", "line", "image", "image", "image"]);
    expect(isPlaces({ axes: ["point", "yx"] })).toBe(true);
  });
  it("come in the order in which they are looked at, without what says the same again", () => {
    expect(firstShown(arrangeViews(PTYCHO)).map((v) => v.name)).toEqual(["p.phase", "p.amplitude", "p.probe", "p.error", "p.positions", "p.pattern"]);
    expect(firstShown(arrangeViews(VIEWS)).map((v) => v.name)).toEqual(["patterns.image", "bright", "patterns.pattern", "patterns.mean"]);
  });
  it("show what a network says after what the engine finds", () => {
    const network = ["phase", "amplitude", "spread", "coverage"].map((output) => view(`n.${output}`, "y x", [80, 80]));
    const found = arrangeViews([...network, ...PTYCHO]);
    expect(firstShown(found).map((v) => v.name)).toEqual(["p.phase", "p.amplitude", "p.probe", "p.error", "p.positions", "n.phase"]);
    expect(firstShown(arrangeViews(network)).map((v) => v.name)).toEqual(["n.phase", "n.amplitude", "n.spread", "n.coverage"]);
  });
  it("know where frames lie on an object", () => {
    expect(placesOn(PTYCHO[1] as ViewInfo, PTYCHO)).toMatchObject({ places: { name: "p.positions" }, window: [64, 64] });
    expect(placesOn(PTYCHO[7] as ViewInfo, PTYCHO)).toBeNull();
    expect(extentOf([1, 5, NaN, 2, 3, 4])).toEqual({ y0: 1, y1: 3, x0: 4, x1: 5 });
    expect(extentOf([NaN, NaN])).toBeNull();
  });
  it("may have a logarithmic axis where all is above zero", () => {
    expect(canBeLog([1, 0.1, NaN])).toBe(true);
    expect(canBeLog([1, 0])).toBe(false);
    expect(canBeLog([])).toBe(false);
  });
});

describe("complex values", () => {
  it("come as magnitude and phase", () => {
    const text = new TextEncoder().encode(JSON.stringify({ view: "v", version: 1, shape: [1, 3], dtype: "complex64", full_shape: [1, 3] }));
    const message = new ArrayBuffer(4 + text.length + 24);
    new DataView(message).setUint32(0, text.length, true);
    new Uint8Array(message, 4, text.length).set(text);
    [3, 4, 0, -2, -1, 0].forEach((value, i) => new DataView(message).setFloat32(4 + text.length + 4 * i, value, true));
    const { pixels, phase } = decodeFrame(message);
    expect([...pixels]).toEqual([5, 2, 1]);
    [Math.atan2(4, 3), -Math.PI / 2, Math.PI].forEach((angle, i) => expect(phase?.[i]).toBeCloseTo(angle, 6));
  });
  it("are painted with the phase as hue and the magnitude as brightness", () => {
    const out = new Uint32Array(3);
    paintComplex(new Float32Array([0, 2, NaN]), new Float32Array([1, 0, 0]), out, 0, 1);
    expect([...out]).toEqual([0xff000000, colorTable("cyclic")[128], 0]);
    expect([phasePlace(-Math.PI), phasePlace(Math.PI)]).toEqual([0, 0]);
  });
  it("have the power of modes that lie side by side", () => {
    const { pixels } = polar(new Float32Array([3, 0, 0, 3, 1, 0, 0, 1]));
    expect(sharesOf({ header: { shape: [1, 4] }, pixels } as never, 2)).toEqual([0.9, 0.1]);
  });
});
