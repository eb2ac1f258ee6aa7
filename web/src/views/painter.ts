/** Draws frames on a plain 2-D canvas. No WebGL: headless browsers and remote desktops often lack it. */
import type { Frame } from "../api/message";
import type { Region } from "../api/types";
import { colorTable, paintComplex, paintPixels } from "./colormaps";
import type { Part } from "./display";
import { type Size, type Viewport, toScreen } from "./viewport";

export interface Look {
  table: Uint32Array;
  low: number;
  high: number;
  part: Part;
}

/** What lies where nothing is known: a quiet hatching that no colour map has. */
function hatching(): HTMLCanvasElement {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const context = tile.getContext("2d");
  if (context) {
    context.fillStyle = "#10151d";
    context.fillRect(0, 0, 8, 8);
    context.strokeStyle = "#222b38";
    context.beginPath();
    for (const x of [-8, 0, 8]) {
      context.moveTo(x, 8);
      context.lineTo(x + 8, 0);
    }
    context.stroke();
  }
  return tile;
}

/** Colour one image; NaN is transparent. */
function paint({ pixels, phase }: Frame, words: Uint32Array, look: Look): void {
  if (phase && look.part === "both") paintComplex(pixels, phase, words, look.low, look.high);
  else if (phase && look.part === "phase") paintPixels(phase, words, colorTable("cyclic"), -Math.PI, Math.PI);
  else paintPixels(pixels, words, look.table, look.low, look.high);
}

export const regionOf = (frame: Frame): Region => {
  const [height = 1, width = 1] = frame.header.full_shape;
  return frame.header.region ?? [0, height, 0, width];
};

/** One image, coloured, at the resolution that it was sent with. */
class Raster {
  readonly canvas = document.createElement("canvas");
  region: Region = [0, 1, 0, 1];
  private image: ImageData | null = null;

  paint(frame: Frame, look: Look): void {
    const [height = 0, width = 0] = frame.header.shape;
    const context = this.canvas.getContext("2d");
    if (!context || height === 0 || width === 0) return;
    if (this.image?.width !== width || this.image.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.image = context.createImageData(width, height);
    }
    const words = new Uint32Array(this.image.data.buffer);
    paint(frame, words, look);
    context.putImageData(this.image, 0, 0);
    this.region = regionOf(frame);
  }
}

export class Painter {
  private readonly near = new Raster();
  /** The last image of everything: what shows at the edges while a part is being fetched. */
  private readonly whole = new Raster();
  private frame: Frame | null = null;
  private wholeFrame: Frame | null = null;
  private look: Look | null = null;
  private hatching: CanvasPattern | string | null = null;
  private readonly canvas: HTMLCanvasElement;

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas;
  }

  setFrame(frame: Frame, look: Look): void {
    const [height = 1, width = 1] = frame.header.full_shape;
    const [row0, row1, column0, column1] = regionOf(frame);
    this.frame = frame;
    if (row0 === 0 && column0 === 0 && row1 >= height && column1 >= width) this.wholeFrame = frame;
    this.colour(look);
  }

  /** New colours or levels for the image that is there. */
  setLook(look: Look): void {
    const old = this.look;
    if (old?.table !== look.table || old.low !== look.low || old.high !== look.high || old.part !== look.part) this.colour(look);
  }

  private colour(look: Look): void {
    const wholeIsNew = this.wholeFrame === this.frame || this.look?.table !== look.table || this.look.part !== look.part;
    this.look = look;
    if (!this.frame) return;
    if (this.wholeFrame && wholeIsNew) this.whole.paint(this.wholeFrame, look);
    if (this.wholeFrame !== this.frame) this.near.paint(this.frame, look);
  }

  draw(view: Viewport, size: Size, density: number): void {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const [width, height] = [Math.round(size.width * density), Math.round(size.height * density)];
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    if (this.wholeFrame) this.place(context, this.whole, view, size);
    if (this.frame && this.frame !== this.wholeFrame) this.place(context, this.near, view, size);
  }

  private place(context: CanvasRenderingContext2D, raster: Raster, view: Viewport, size: Size): void {
    const [row0, row1, column0, column1] = raster.region;
    const [x0, y0] = toScreen(view, size, column0, row0);
    const [x1, y1] = toScreen(view, size, column1, row1);
    // single pixels stay sharp squares when there are fewer of them than the screen has
    context.imageSmoothingEnabled = x1 - x0 < raster.canvas.width;
    if (raster.canvas.width > 0) {
      context.fillStyle = this.hatching ??= context.createPattern(hatching(), "repeat") ?? "#000";
      context.fillRect(x0, y0, x1 - x0, y1 - y0);
      context.drawImage(raster.canvas, x0, y0, x1 - x0, y1 - y0);
    }
  }
}

/** The phase of full-image pixel (row, column) in radian, or null where there is none. */
export const phaseAt = (frame: Frame, row: number, column: number): number | null =>
  frame.phase ? valueAt({ header: frame.header, pixels: frame.phase }, row, column) : null;

/** The value of full-image pixel (row, column), or null outside of what was sent. */
export function valueAt(frame: Frame, row: number, column: number): number | null {
  const [row0, row1, column0, column1] = regionOf(frame);
  if (row < row0 || row >= row1 || column < column0 || column >= column1) return null;
  const [height = 1, width = 1] = frame.header.shape;
  const i = Math.min(height - 1, Math.floor(((row - row0) / (row1 - row0)) * height));
  const j = Math.min(width - 1, Math.floor(((column - column0) / (column1 - column0)) * width));
  return frame.pixels[i * width + j] ?? null;
}
