/** Colour maps as tables of 256 colours, and the loop that turns values into pixels. */
import {
  interpolateCividis, interpolateInferno, interpolateMagma, interpolatePlasma, interpolateRdBu, interpolateSinebow, interpolateTurbo, interpolateViridis,
} from "d3-scale-chromatic";
import type { Pixels } from "../api/message";

type Ramp = (t: number) => [number, number, number];

const spectrum = (interpolate: (t: number) => string): Ramp => (t) => parseColour(interpolate(t));

/** The names are those that the service's `?colormap=` takes. */
const RAMPS = {
  gray: (t: number) => [255 * t, 255 * t, 255 * t],
  viridis: spectrum(interpolateViridis),
  inferno: spectrum(interpolateInferno),
  magma: spectrum(interpolateMagma),
  plasma: spectrum(interpolatePlasma),
  cividis: spectrum(interpolateCividis),
  turbo: spectrum(interpolateTurbo),
  rdbu: spectrum((t) => interpolateRdBu(1 - t)),
  cyclic: spectrum((t) => interpolateSinebow(t)),
} satisfies Record<string, Ramp | ((t: number) => number[])>;

export type ColorMapName = keyof typeof RAMPS;
export const COLOR_MAPS = Object.keys(RAMPS) as ColorMapName[];

/** Their lightness goes up and down: without all three colours, different values look alike. */
export const UNEVEN: ReadonlySet<ColorMapName> = new Set(["turbo", "cyclic"]);

/** "#1f2e3d" or "rgb(31, 46, 61)" to [31, 46, 61]. */
export function parseColour(text: string): [number, number, number] {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  const parts = hex ? hex.slice(1).map((s) => parseInt(s, 16)) : (text.match(/[\d.]+/g) ?? []).map(Number);
  const [r = 0, g = 0, b = 0] = parts;
  return [r, g, b];
}

const tables = new Map<string, Uint32Array>();

/** 256 colours as little-endian RGBA words: the order of bytes in ImageData. */
export function colorTable(name: ColorMapName, inverted = false): Uint32Array {
  const key = `${name}${inverted ? " inverted" : ""}`;
  const known = tables.get(key);
  if (known) return known;
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const [r = 0, g = 0, b = 0] = RAMPS[name]((inverted ? 255 - i : i) / 255).map(Math.round);
    table[i] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
  tables.set(key, table);
  return table;
}

/** Values to colours; `low` and below get the first colour, `high` and above the last, NaN is transparent. */
export function paintPixels(pixels: Pixels, out: Uint32Array, table: Uint32Array, low: number, high: number): void {
  const scale = high > low ? 256 / (high - low) : 0;
  const n = Math.min(pixels.length, out.length);
  for (let i = 0; i < n; i++) {
    const value = pixels[i] as number;
    const at = (value - low) * scale;
    // (NaN > x) is false on both sides: it falls through to the last branch
    out[i] = at >= 255 ? (table[255] as number) : at > 0 ? (table[at | 0] as number) : at <= 0 ? (table[0] as number) : 0;
  }
}

/** Complex values: the hue is the phase, the brightness the magnitude (`high` and above: full, `low` and below: black). */
export function paintComplex(magnitude: Pixels, phase: Float32Array, out: Uint32Array, low: number, high: number): void {
  const table = colorTable("cyclic");
  const scale = high > low ? 1 / (high - low) : 0;
  const n = Math.min(magnitude.length, out.length);
  for (let i = 0; i < n; i++) {
    const size = magnitude[i] as number;
    if (Number.isNaN(size)) {
      out[i] = 0;
      continue;
    }
    const bright = Math.min(1, Math.max(0, (size - low) * scale));
    const word = table[phasePlace(phase[i] as number)] as number;
    out[i] = ((255 << 24) | ((((word >> 16) & 255) * bright) << 16) | ((((word >> 8) & 255) * bright) << 8) | ((word & 255) * bright)) >>> 0;
  }
}

/** Place of a phase, −π to π, in a table of 256 colours; both ends are the same. */
export const phasePlace = (phase: number): number => Math.floor(((phase / (2 * Math.PI) + 0.5) % 1) * 256) & 255;

/** A CSS gradient of the same colours, so that a colour bar cannot disagree with the image. */
export function cssGradient(name: ColorMapName, inverted: boolean, towards: string): string {
  const table = colorTable(name, inverted);
  const stops = Array.from({ length: 33 }, (_, i) => {
    const word = table[Math.min(255, i * 8)] as number;
    return `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`;
  });
  return `linear-gradient(${towards}, ${stops.join(", ")})`;
}

/** The cyclic colours around a point as a CSS gradient: phase 0 to the right, π/2 up. */
export function cssWheel(): string {
  const table = colorTable("cyclic");
  const stops = Array.from({ length: 33 }, (_, i) => {
    const word = table[phasePlace(-(i / 32) * 2 * Math.PI + Math.PI / 2 + 2 * Math.PI)] as number;
    return `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`;
  });
  return `conic-gradient(${stops.join(", ")})`;
}
