import { describe, expect, it } from "vitest";
import type { Job } from "../api/types";
import { FINITE, addReconstruction, binOf, centerOf, feedOf, insertAfter, isReconstruction, lastCorrection, move, nameOf, rangeMistake, remove, setAverage, setBin, setCenter, setValue, stepsOf } from "./edit";

const job = (): Job => ({
  source: { use: "dxfile", path: "/data/a.h5" },
  steps: [{ use: "flat_field" }, { use: "minus_log" }, { use: "find_center" }, { use: "fbp", inputs: ["minus_log"], center: { from: "find_center" } }],
});
const names = (j: Job): string[] => stepsOf(j).map(nameOf);
const step = (j: Job, name: string) => stepsOf(j).find((s) => nameOf(s) === name);

describe("steps of a job", () => {
  it("gets a step between two others, which the later ones then read", () => {
    const next = insertAfter(job(), "minus_log", { use: "remove_rings" });
    expect(names(next)).toEqual(["flat_field", "minus_log", "remove_rings", "find_center", "fbp"]);
    expect(step(next, "fbp")?.inputs).toEqual(["remove_rings"]);
    expect(feedOf(stepsOf(next), 3)).toBe("remove_rings");
  });
  it("gets the same step twice under two names", () => {
    const next = insertAfter(insertAfter(job(), "minus_log", { use: "bin" }), "bin", { use: "bin" });
    expect(names(next)).toEqual(["flat_field", "minus_log", "bin", "bin_2", "find_center", "fbp"]);
    expect(step(next, "fbp")?.inputs).toEqual(["bin_2"]);
  });
  it("loses a step, and the others read what it read", () => {
    const next = remove(job(), "minus_log");
    expect(step(next, "fbp")?.inputs).toEqual(["flat_field"]);
    expect(step(remove(next, "flat_field"), "fbp")?.inputs).toEqual(["source.data"]);
  });
  it("loses the step that found the centre, which then is the default", () => {
    const next = remove(job(), "find_center");
    expect(step(next, "fbp")).toEqual({ use: "fbp", inputs: ["minus_log"] });
    expect(centerOf(next)).toBeNull();
  });
  it("puts back what it took away", () => {
    expect(insertAfter(remove(job(), "minus_log"), "flat_field", { use: "minus_log" })).toEqual(job());
  });
  it("moves a step, with those that read it", () => {
    const finite = insertAfter(job(), "minus_log", { ...FINITE });
    const next = move(finite, "only_finite", -1);
    expect(names(next)).toEqual(["flat_field", "only_finite", "minus_log", "find_center", "fbp"]);
    expect(step(next, "fbp")?.inputs).toEqual(["minus_log"]);
    expect(move(next, "only_finite", 1)).toEqual(finite);
  });
  it("does not move a step out of the list", () => {
    expect(move(job(), "flat_field", -1)).toEqual(job());
    expect(move(job(), "fbp", 1)).toEqual(job());
  });
  it("has one centre, of a step or of the user", () => {
    expect(centerOf(job())).toEqual({ step: "fbp", center: null, from: "find_center" });
    expect(centerOf(setCenter(job(), 12.5))).toEqual({ step: "fbp", center: 12.5, from: null });
  });
  it("takes values", () => {
    expect(step(setValue(job(), "fbp", "filter", "hann"), "fbp")?.["filter"]).toBe("hann");
  });
  it("averages flats by the median, and by the mean again", () => {
    const next = setAverage(job(), true);
    expect(names(next).slice(0, 3)).toEqual(["median_dark", "median_flat", "flat_field"]);
    expect(step(next, "flat_field")?.inputs).toEqual({ frames: "source.data", dark: "median_dark", flat: "median_flat" });
    expect(setAverage(setAverage(next, true), false)).toEqual(job());
  });
  it("gets another reconstruction, which takes the place of the first one when that goes", () => {
    const whole = { ...job(), sinks: [{ use: "hdf5", of: "fbp", path: "/data/a_rec.nxs" }] };
    const both = addReconstruction(whole, "sirt");
    expect(step(both, "sirt")).toEqual({ use: "sirt", inputs: ["minus_log"], center: { from: "find_center" } });
    expect(both["sinks"]).toEqual(whole.sinks);
    expect(remove(both, "fbp")["sinks"]).toEqual([{ use: "hdf5", of: "sirt", path: "/data/a_rec.nxs" }]);
    expect(addReconstruction(remove(whole, "fbp"), "sirt")).toEqual(remove(both, "fbp"));
    expect(nameOf(stepsOf(addReconstruction(both, "sirt")).at(-1)!)).toBe("sirt_2");
    expect(["angle col -> z=row y x", "angle col -> volume: z=row y x, residual: z=row iteration", "[angle] row col -> center: , confidence:", "y x -> y x"].map(isReconstruction))
      .toEqual([true, true, false, false]);
  });
  it("bins, and a centre set by hand stays where it is in the sample", () => {
    const binned = setBin(setCenter(job(), 295.5), 2);
    expect([binOf(binned), centerOf(binned)?.center]).toEqual([2, 147.5]);
    expect(centerOf(setBin(binned, 4))?.center).toBe(73.5);
    expect(setBin(setBin(binned, 4), 1)).toEqual(setCenter(job(), 295.5));
    expect(setBin(setBin(job(), 2), 1)).toEqual(job());
  });
  it.each([
    [["", "", ""], null], [["0", "2", "1"], null], [["1", "1", ""], /nothing/], [["5", "", ""], /nothing/], [["", "3", ""], /2 at most/], [["", "", "0"], /1 or more/],
  ])("checks the range %j of 2 rows", (parts, said) => (said ? expect(rangeMistake(parts, 2)).toMatch(said) : expect(rangeMistake(parts, 2)).toBeNull()));
  it("knows where corrections end", () => {
    expect(lastCorrection(job())).toBe("minus_log");
    expect(lastCorrection({ steps: [{ use: "fbp", center: 3 }] })).toBeNull();
  });
});
