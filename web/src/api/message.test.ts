import { describe, expect, it } from "vitest";
import { MessageError, decodeFrame, halfToFloat } from "./message";

function message(header: unknown, pixels: ArrayBuffer | Uint8Array, length?: number): ArrayBuffer {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const body = pixels instanceof Uint8Array ? pixels : new Uint8Array(pixels);
  const out = new Uint8Array(4 + text.length + body.length);
  new DataView(out.buffer).setUint32(0, length ?? text.length, true);
  out.set(text, 4);
  out.set(body, 4 + text.length);
  return out.buffer;
}
const header = { view: "xy", version: 3, shape: [2, 3], dtype: "float32", full_shape: [2, 3], axes: ["y", "x"] };
const values = new Float32Array([0, 1.5, -2, NaN, 4, 5]);

describe("decodeFrame", () => {
  it("reads a whole message whatever the length of its header", () => {
    for (let pad = 0; pad < 5; pad++) {
      const frame = decodeFrame(message({ ...header, pad: "x".repeat(pad) }, values.buffer));
      expect([...frame.pixels]).toEqual([...values]);
      expect(frame.header.version).toBe(3);
    }
  });
  it("refuses every truncation with one sentence", () => {
    const whole = message(header, values.buffer);
    for (let n = 0; n < whole.byteLength; n++) expect(() => decodeFrame(whole.slice(0, n)), `${n} bytes`).toThrow(MessageError);
  });
  it("refuses bytes too many", () => expect(() => decodeFrame(message(header, new Uint8Array(25)))).toThrow(/25 bytes of pixels came, expected 24/));
  it.each([
    ["no JSON", "{", {}], ["a number", "3", {}], ["null", "null", {}], ["bad utf-8 length", JSON.stringify(header), { length: 1 << 30 }],
    ["an empty header", "", {}],
  ])("refuses %s", (_, text, { length }: { length?: number }) =>
    expect(() => decodeFrame(message(text, values.buffer, length))).toThrow(MessageError));
  it.each([
    { shape: [2, 3, 4] }, { shape: [] }, { shape: "2x3" }, { shape: [-2, -3] }, { shape: [1.5, 4] }, { shape: [1e9, 1e9] },
    { dtype: "int64" }, { dtype: "toString" }, { dtype: null }, { version: "3" }, { version: null },
  ])("refuses %j", (wrong) => expect(() => decodeFrame(message({ ...header, ...wrong }, values.buffer))).toThrow(MessageError));
  it("reads uint8, uint16, float16 and lines", () => {
    expect([...decodeFrame(message({ ...header, dtype: "uint8" }, new Uint8Array([1, 2, 3, 4, 5, 6]))).pixels]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...decodeFrame(message({ ...header, dtype: "uint16" }, new Uint16Array([1, 2, 3, 4, 5, 65535]).buffer)).pixels]).toEqual([1, 2, 3, 4, 5, 65535]);
    const half = new Uint16Array([0x3c00, 0xc000, 0x7e00, 0x0001, 0x7c00, 0x3555]);
    expect([...decodeFrame(message({ ...header, dtype: "float16" }, half.buffer)).pixels].slice(0, 2)).toEqual([1, -2]);
    expect(decodeFrame(message({ ...header, shape: [6] }, values.buffer)).pixels.length).toBe(6);
  });
  it("reads an image without pixels", () => expect(decodeFrame(message({ ...header, shape: [0, 3] }, new Uint8Array())).pixels.length).toBe(0));
});

describe("halfToFloat", () => {
  it("knows the special values", () => {
    const out = halfToFloat(new Uint16Array([0x0000, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0x0001, 0x03ff, 0x7bff]));
    expect([...out]).toEqual([0, -0, Infinity, -Infinity, NaN, 2 ** -24, 1023 * 2 ** -24, 65504].map(Math.fround));
  });
});
