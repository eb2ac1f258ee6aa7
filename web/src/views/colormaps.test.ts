import { describe, expect, it } from "vitest";
import { COLOR_MAPS, colorTable, cssGradient, paintPixels, parseColour } from "./colormaps";

describe("colour tables", () => {
  it("run from black to white in gray", () => {
    const table = colorTable("gray");
    expect(table[0]).toBe(0xff000000);
    expect(table[255]).toBe(0xffffffff);
    expect(table[128]).toBe(0xff808080);
  });
  it("are opaque everywhere and differ at their ends", () => {
    for (const name of COLOR_MAPS) {
      const table = colorTable(name);
      expect(table.every((word) => word >>> 24 === 255)).toBe(true);
      expect(table[0] === table[255]).toBe(name === "cyclic");
    }
  });
  it("know viridis' published ends", () => {
    expect(colorTable("viridis")[0]).toBe(0xff540144); // #440154, bytes R G B A
    expect(colorTable("viridis")[255]).toBe(0xff25e7fd); // #fde725
  });
  it("turn round when inverted", () => expect(colorTable("gray", true)[0]).toBe(0xffffffff));
  it("read both ways of writing a colour", () => {
    expect(parseColour("#ff8000")).toEqual([255, 128, 0]);
    expect(parseColour("rgb(1, 20, 255)")).toEqual([1, 20, 255]);
  });
  it("give the colour bar the same ends", () => expect(cssGradient("gray", false, "to top")).toMatch(/^linear-gradient\(to top, rgb\(0 0 0\).*rgb\(255 255 255\)\)$/));
});

describe("paintPixels", () => {
  const gray = colorTable("gray");
  const paint = (values: number[], low: number, high: number): number[] => {
    const out = new Uint32Array(values.length).fill(7);
    paintPixels(new Float32Array(values), out, gray, low, high);
    return [...out];
  };
  it("clips at both levels", () => expect(paint([-5, 0, 10, 99], 0, 10)).toEqual([0xff000000, 0xff000000, 0xffffffff, 0xffffffff]));
  it("leaves NaN transparent and clips infinities", () => expect(paint([NaN, Infinity, -Infinity], 0, 1)).toEqual([0, 0xffffffff, 0xff000000]));
  it("puts the middle in the middle", () => expect(paint([0.5], 0, 1)).toEqual([0xff808080]));
  it("stands equal levels: nothing is divided by zero", () => expect(paint([3, 4, NaN], 3, 3)).toEqual([0xff000000, 0xff000000, 0]));
  it("takes integers", () => {
    const out = new Uint32Array(2);
    paintPixels(new Uint16Array([0, 65535]), out, gray, 0, 65535);
    expect([...out]).toEqual([0xff000000, 0xffffffff]);
  });
});
