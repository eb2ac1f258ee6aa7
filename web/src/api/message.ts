/** Decode the binary message of a view: u32 LE length of the header, JSON header, raw little-endian pixels. */
import type { FrameHeader } from "./types";

export type Pixels = Float32Array | Uint16Array | Uint8Array;

export interface Frame {
  header: FrameHeader;
  /** Rows after one another, `header.shape` long in all. float16 arrives here as float32, complex values as their magnitude. */
  pixels: Pixels;
  /** Of complex values: their phase in radian, −π to π. */
  phase?: Float32Array;
}

/** A message that is cut short, or does not say what it should. */
export class MessageError extends Error {
  override name = "MessageError";
}

const BYTES: Record<string, number> = { float32: 4, float16: 2, uint16: 2, uint8: 1, complex64: 8 };
/** No sensible header is longer: 128 histogram counts take 2 kB. */
const LONGEST_HEADER = 1 << 20;

export function decodeFrame(message: ArrayBuffer): Frame {
  const header = decodeHeader(message);
  const start = 4 + new DataView(message).getUint32(0, true);
  const size = header.shape.reduce((product, n) => product * n, 1);
  const bytes = size * (BYTES[header.dtype] ?? 0);
  const left = message.byteLength - start;
  if (left !== bytes) {
    throw new MessageError(`view ${header.view}: ${left} bytes of pixels came, expected ${bytes} ` +
      `for ${header.shape.join("×")} ${header.dtype}`);
  }
  if (header.dtype === "complex64") return { header, ...polar(readPixels(message, start, 2 * size, "float32")) };
  return { header, pixels: readPixels(message, start, size, header.dtype) };
}

function decodeHeader(message: ArrayBuffer): FrameHeader {
  if (message.byteLength < 4) throw new MessageError(`message of ${message.byteLength} bytes, expected 4 or more`);
  const length = new DataView(message).getUint32(0, true);
  if (length === 0 || length > LONGEST_HEADER || 4 + length > message.byteLength) {
    throw new MessageError(`header of ${length} bytes in a message of ${message.byteLength} bytes`);
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(message, 4, length)));
  } catch (error) {
    throw new MessageError(`header is not JSON: ${(error as Error).message}`);
  }
  assertHeader(header);
  return header;
}

function assertHeader(header: unknown): asserts header is FrameHeader {
  if (typeof header !== "object" || header === null) throw new MessageError("header is not an object");
  const h = header as Record<string, unknown>;
  const shape = h["shape"];
  const whole = (n: unknown): boolean => typeof n === "number" && Number.isInteger(n) && n >= 0;
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > 2 || !shape.every(whole)) {
    throw new MessageError(`shape is ${JSON.stringify(shape)}, expected [height, width] or [length]`);
  }
  if (!Object.hasOwn(BYTES, String(h["dtype"]))) {
    throw new MessageError(`dtype is ${JSON.stringify(h["dtype"])}, expected ${Object.keys(BYTES).join(", ")}`);
  }
  if (!whole(h["version"])) throw new MessageError(`version is ${JSON.stringify(h["version"])}, expected a whole number`);
  if (!Array.isArray(h["full_shape"])) h["full_shape"] = shape;
}

function readPixels(message: ArrayBuffer, start: number, size: number, dtype: FrameHeader["dtype"]): Pixels {
  if (dtype === "uint8") return new Uint8Array(message, start, size);
  // typed arrays want an aligned start, and the header may have any length
  const aligned = start % (BYTES[dtype] ?? 1) === 0;
  const buffer = aligned ? message : message.slice(start);
  const offset = aligned ? start : 0;
  if (dtype === "float32") return new Float32Array(buffer, offset, size);
  const words = new Uint16Array(buffer, offset, size);
  return dtype === "uint16" ? words : halfToFloat(words);
}

/** Pairs of real and imaginary part to magnitude and phase. */
export function polar(parts: Pixels): { pixels: Float32Array; phase: Float32Array } {
  const n = parts.length >> 1;
  const pixels = new Float32Array(n);
  const phase = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const real = parts[2 * i] ?? 0;
    const imaginary = parts[2 * i + 1] ?? 0;
    pixels[i] = Math.sqrt(real * real + imaginary * imaginary);
    phase[i] = Math.atan2(imaginary, real);
  }
  return { pixels, phase };
}

/** IEEE 754 binary16 to float32. */
export function halfToFloat(words: Uint16Array): Float32Array {
  const out = new Float32Array(words.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    const sign = word & 0x8000 ? -1 : 1;
    const exponent = (word >> 10) & 31;
    const fraction = word & 1023;
    if (exponent === 31) out[i] = fraction ? NaN : sign * Infinity;
    else if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}
