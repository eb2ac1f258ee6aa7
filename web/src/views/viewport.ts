/**
 * Where an image lies on its canvas. Image coordinates run along edges: pixel i covers [i, i + 1), its centre is i + 0.5.
 * Screen coordinates are CSS pixels from the canvas' upper left corner.
 */
import type { Region } from "../api/types";

export interface Size { width: number; height: number }

export interface Viewport {
  /** Image coordinates (column, row) in the middle of the canvas. */
  x: number;
  y: number;
  /** Screen pixels per image column, and per image row. */
  sx: number;
  sy: number;
}

const MOST_SCREEN_PER_PIXEL = 64;
/** An image flatter than this is stretched: two rows of a detector would be a line one pixel high. */
const FLATTEST = 0.2;

/** Height of a row over width of a column as drawn; 1 for square pixels. `exact` is false where it had to be stretched. */
export function rowOverColumn(full: number[], pixelSize: number[] | null): { ratio: number; exact: boolean } {
  const [height = 1, width = 1] = full;
  const [rowSize = 1, columnSize = 1] = pixelSize ?? [];
  const real = rowSize > 0 && columnSize > 0 ? rowSize / columnSize : 1;
  const tall = (height * real) / Math.max(1, width);
  if (tall < FLATTEST) return { ratio: (FLATTEST / tall) * real, exact: false };
  if (tall > 1 / FLATTEST) return { ratio: real / (FLATTEST * tall), exact: false };
  return { ratio: real, exact: true };
}

export function fit(full: number[], size: Size, ratio: number): Viewport {
  const [height = 1, width = 1] = full;
  const sx = Math.max(1e-6, Math.min(size.width / width, size.height / (height * ratio)));
  return { x: width / 2, y: height / 2, sx, sy: sx * ratio };
}

export const toScreen = (v: Viewport, size: Size, x: number, y: number): [number, number] =>
  [(x - v.x) * v.sx + size.width / 2, (y - v.y) * v.sy + size.height / 2];

export const toImage = (v: Viewport, size: Size, px: number, py: number): [number, number] =>
  [(px - size.width / 2) / v.sx + v.x, (py - size.height / 2) / v.sy + v.y];

/** Zoom by `factor` so that what lies under (px, py) stays there; never out beyond the whole image. */
export function zoomAt(v: Viewport, size: Size, full: number[], factor: number, px: number, py: number): Viewport {
  const whole = fit(full, size, v.sy / v.sx);
  const sx = Math.min(Math.max(v.sx * factor, whole.sx), Math.max(whole.sx, MOST_SCREEN_PER_PIXEL));
  if (sx <= whole.sx * 1.0001) return whole;
  const [x, y] = toImage(v, size, px, py);
  const sy = (sx * v.sy) / v.sx;
  return keepInside({ x: x - (px - size.width / 2) / sx, y: y - (py - size.height / 2) / sy, sx, sy }, full);
}

export function panBy(v: Viewport, full: number[], dx: number, dy: number): Viewport {
  return keepInside({ ...v, x: v.x - dx / v.sx, y: v.y - dy / v.sy }, full);
}

/** The middle of the canvas always shows some of the image. */
function keepInside(v: Viewport, full: number[]): Viewport {
  const [height = 1, width = 1] = full;
  return { ...v, x: Math.min(width, Math.max(0, v.x)), y: Math.min(height, Math.max(0, v.y)) };
}

export const isWhole = (v: Viewport, size: Size, full: number[]): boolean =>
  v.sx <= fit(full, size, v.sy / v.sx).sx * 1.0001;

export interface Wanted {
  width: number;
  height: number;
  region: Region | null;
  /** Position along the axes before the last two; the middle where none is given. */
  index?: number[];
  /** Complex values as they are, not their magnitude. */
  phase?: boolean;
  /** The planes of the last axis before the image, side by side. */
  beside?: boolean;
}

/** What to ask of the service: the visible part, and how many screen pixels it takes there. */
export function wanted(v: Viewport, size: Size, full: number[], density: number): Wanted {
  const [height = 1, width = 1] = full;
  const [x0, y0] = toImage(v, size, 0, 0);
  const [x1, y1] = toImage(v, size, size.width, size.height);
  const clip = (value: number, n: number): number => Math.min(n, Math.max(0, value));
  const region: Region = [clip(Math.floor(y0), height - 1), Math.max(1, clip(Math.ceil(y1), height)),
    clip(Math.floor(x0), width - 1), Math.max(1, clip(Math.ceil(x1), width))];
  const all = region[0] === 0 && region[2] === 0 && region[1] === height && region[3] === width;
  const pixels = (n: number, scale: number): number => Math.max(1, Math.min(8192, Math.ceil(n * scale * density)));
  return {
    width: pixels(region[3] - region[2], v.sx),
    height: pixels(region[1] - region[0], v.sy),
    region: all ? null : region,
  };
}
