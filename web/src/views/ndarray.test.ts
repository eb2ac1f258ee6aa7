import { describe, expect, it } from "vitest";
import ours, { type NdArray } from "./ndarray";

// the package itself, by its path: its name leads to our own file
const path = "../../node_modules/ndarray/ndarray.js";
const theirs = ((await import(/* @vite-ignore */ path)) as { default: typeof ours }).default;
const data = Float32Array.from({ length: 24 }, (_, i) => i * i);

function all(array: NdArray): number[] {
  if (array.dimension === 0) return [array.get()];
  return Array.from({ length: array.shape[0] ?? 0 }, (_, i) => all(array.pick(i))).flat();
}

describe("ndarray without new Function", () => {
  const ways: [string, (a: NdArray) => NdArray][] = [
    ["whole", (a) => a], ["pick", (a) => a.pick(1)], ["pick middle", (a) => a.pick(null, 2)], ["pick with -1", (a) => a.pick(-1, -1, 3)],
    ["transpose", (a) => a.transpose(2, 0, 1)], ["lo", (a) => a.lo(1, 1, 2)], ["hi", (a) => a.hi(1, 2, 3)], ["lo hi", (a) => a.lo(0, 1).hi(2, 2, 2)],
    ["step", (a) => a.step(1, 2, 3)], ["step back", (a) => a.step(-1, 1, -1)],
  ];
  it.each(ways)("%s does what the package does", (_, way) => {
    const [a, b] = [way(ours(data, [2, 3, 4])), way(theirs(data, [2, 3, 4]))];
    expect([a.shape, a.size, a.dimension, a.dtype]).toEqual([Array.from(b.shape), b.size, b.dimension, b.dtype]);
    expect(all(a)).toEqual(all(b));
  });
  it("reads and writes places", () => {
    const a = ours(new Float64Array(6), [2, 3]);
    a.set(1, 2, 42);
    expect([a.get(1, 2), a.index(1, 2), a.data[5]]).toEqual([42, 5, 42]);
  });
  it("wraps lists, as lines by default", () => expect([ours([1, 2, 3]).shape, ours([1, 2, 3]).dtype]).toEqual([[3], "array"]));
});
