import { describe, expect, it } from "vitest";
import { Display, usableLevels } from "./display";

const header = (low: number, high: number) => ({ levels: [low, high] as [number, number], range: [low, high] as [number, number] });

describe("display", () => {
  it("takes the span of all views that share it", () => {
    const display = new Display();
    display.offer("xy", header(0, 1));
    display.offer("xz", header(-1, 0.5));
    expect(display.get().levels).toEqual([-1, 1]);
  });
  it("stays calm when levels hardly move", () => {
    const display = new Display();
    display.offer("xy", header(0, 1));
    const before = display.get();
    display.offer("xy", header(0.01, 1.01));
    expect(display.get()).toBe(before);
  });
  it("leaves hand-set levels alone until auto is switched on again", () => {
    const display = new Display();
    display.set({ auto: false, levels: [3, 4] });
    display.offer("xy", header(0, 1));
    expect(display.get().levels).toEqual([3, 4]);
    display.set({ auto: true });
    expect(display.get().levels).toEqual([0, 1]);
  });
  it("finds levels for flat images and none for empty ones", () => {
    expect(usableLevels({ levels: [2, 2], range: [1, 3] })).toEqual([1, 3]);
    expect(usableLevels({ levels: [2, 2], range: [2, 2] })).toEqual([1.5, 2.5]);
    expect(usableLevels({ levels: [NaN, NaN], range: [NaN, NaN] })).toBeNull();
    expect(usableLevels({ levels: null, range: null } as unknown as Parameters<typeof usableLevels>[0])).toBeNull();
  });
});
