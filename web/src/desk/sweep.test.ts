import { describe, expect, it } from "vitest";
import { MOST, valuesOf } from "./sweep";

describe("centres of a sweep", () => {
  it("are even about the middle, with both ends", () => {
    expect(valuesOf({ around: 100, reach: 1, step: 0.5 })).toEqual([99, 99.5, 100, 100.5, 101]);
    expect(valuesOf({ around: 31.25, reach: 0.6, step: 0.25 })).toEqual([30.75, 31, 31.25, 31.5, 31.75]);
  });
  it("are never more than can be looked at", () => {
    expect(valuesOf({ around: 500, reach: 400, step: 0.25 }).length).toBeLessThanOrEqual(MOST);
  });
  it("are at least one", () => {
    expect(valuesOf({ around: 5, reach: 0.1, step: 1 })).toEqual([5]);
  });
});
