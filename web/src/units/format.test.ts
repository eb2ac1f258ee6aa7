import { describe, expect, it } from "vitest";
import { formatAny, formatBytes, formatCount, formatDuration, formatLatency, formatLength, formatOnScale, formatPercent, formatValue } from "./format";

const plain = (text: string): string => text.replace(/\u2009/g, " ").replace(/\u2212/g, "-");

describe("values", () => {
  it.each([
    [0, "0"], [1.23456, "1.235"], [-0.001234567, "-0.001235"], [234.5, "234.5"], [12345.678, "12346"], [3, "3"],
    [1.5e-7, "1.5e-7"], [2.5e9, "2.5e9"], [NaN, "no data"], [Infinity, "∞"], [null, "–"],
  ])("%s is %s", (value, text) => expect(plain(formatValue(value))).toBe(text));
  it("keeps six digits of parameters", () => expect(formatAny(234.5625)).toBe("234.563"));
  it("gives a colour bar the decimals that its span needs", () => {
    expect(plain(formatOnScale(-0.098, 3.2))).toBe("-0.1");
    expect(plain(formatOnScale(-0.004, 3.2))).toBe("0");
    expect(plain(formatOnScale(0.01234, 0.05))).toBe("0.012");
    expect(plain(formatOnScale(65535, 65535))).toBe("65535");
    expect(plain(formatOnScale(2, 0))).toBe("2");
  });
  it("shortens long arrays", () => expect(formatAny([1, 2, 3, 4, 5, 6])).toBe("1 … 6 (6 values)"));
});

describe("counts, bytes, times", () => {
  it("separates thousands", () => expect(plain(formatCount(1234567))).toBe("1 234 567"));
  it("counts bytes in powers of 1024", () => {
    expect(plain(formatBytes(0))).toBe("0 B");
    expect(plain(formatBytes(1536))).toBe("1.5 KiB");
    expect(plain(formatBytes(300 * 2 ** 20))).toBe("300 MiB");
  });
  it("chooses ms or s", () => {
    expect(plain(formatLatency(42.4))).toBe("42 ms");
    expect(plain(formatLatency(2345))).toBe("2.3 s");
  });
  it("writes durations", () => {
    expect(formatDuration(41)).toBe("41 s");
    expect(formatDuration(185)).toBe("3 min 05 s");
    expect(formatDuration(7800)).toBe("2 h 10 min");
  });
  it("never rounds 99.9 % up to all", () => expect(plain(formatPercent(0.999))).toBe("99 %"));
});

describe("lengths", () => {
  it.each([[1234, "um", "1.234 mm"], [0.65, "um", "650 nm"], [12, "µm", "12 µm"], [0.004, "mm", "4 µm"], [-2500, "um", "-2.5 mm"], [5, "px", "5 px"], [0, "mm", "0 mm"]])(
    "%s %s is %s", (value, unit, text) => expect(plain(formatLength(value, unit))).toBe(text));
});
