/** Lists of places in a plane: a plot of their own, and dots on the picture that was made of them. */
import { type ReactElement, useEffect, useMemo, useRef } from "react";
import type { Frame } from "../api/message";
import type { ViewInfo } from "../api/types";
import { IconButton } from "../ui";
import { formatLength, formatOnScale } from "../units/format";
import { StreamNote } from "./ImageParts";
import type { ViewProps } from "./ImageView";
import { colorTable } from "./colormaps";
import { useCalmFrame, useSize, useStream } from "./hooks";
import { type Size, type Viewport, toScreen } from "./viewport";

export const isPlaces = (view: Pick<ViewInfo, "axes">): boolean => view.axes.length === 2 && view.axes[1] === "yx";

export interface Extent { y0: number; y1: number; x0: number; x1: number }

/** The box around all places that are known; null where there is none. */
export function extentOf(pixels: ArrayLike<number>): Extent | null {
  const box = { y0: Infinity, y1: -Infinity, x0: Infinity, x1: -Infinity };
  for (let i = 0; i + 1 < pixels.length; i += 2) {
    const y = pixels[i] ?? NaN;
    const x = pixels[i + 1] ?? NaN;
    if (!Number.isFinite(y) || !Number.isFinite(x)) continue;
    [box.y0, box.y1] = [Math.min(box.y0, y), Math.max(box.y1, y)];
    [box.x0, box.x1] = [Math.min(box.x0, x), Math.max(box.x1, x)];
  }
  return box.y0 <= box.y1 ? box : null;
}

/** Draw dots, the first in the first colour and the newest in the last. */
function drawDots(canvas: HTMLCanvasElement, size: Size, pixels: ArrayLike<number>, place: (y: number, x: number) => [number, number], radius: number): void {
  const density = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(size.width * density), Math.round(size.height * density)];
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(density, 0, 0, density, 0, 0);
  const table = colorTable("viridis");
  const count = pixels.length / 2;
  for (let i = 0; i < count; i++) {
    const [left, top] = place(pixels[2 * i] ?? NaN, pixels[2 * i + 1] ?? NaN);
    const word = table[64 + Math.floor((191 * i) / Math.max(1, count - 1))] ?? 0;
    context.fillStyle = `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`;
    context.beginPath();
    context.arc(left, top, i === count - 1 ? 2 * radius : radius, 0, 2 * Math.PI);
    context.fill();
  }
}

const BORDER = 26;

/** Where the beam was: one dot for each frame, with equal scales and its extent in words. */
export function PlacesView({ name, info, stream, state, active, large, onActivate, onLarge }: ViewProps): ReactElement {
  const frame = useCalmFrame(stream, 200);
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(box);
  const extent = useMemo(() => (frame ? extentOf(frame.pixels) : null), [frame]);
  useEffect(() => {
    if (!frame || !extent || !canvas.current || size.width < 1) return;
    const [height, width] = [extent.y1 - extent.y0 || 1, extent.x1 - extent.x0 || 1];
    const scale = Math.min((size.width - 2 * BORDER) / width, (size.height - 2 * BORDER) / height);
    const place = (y: number, x: number): [number, number] => [size.width / 2 + (x - extent.x0 - width / 2) * scale, size.height / 2 + (y - extent.y0 - height / 2) * scale];
    drawDots(canvas.current, size, frame.pixels, place, Math.max(2.2, size.width / 220));
    box.current?.setAttribute("data-version", String(frame.header.version));
  }, [frame, extent, size]);
  const unit = frame?.header.unit ?? info.unit ?? "px";
  const written = unit === "um" ? "µm" : unit;
  const count = frame?.header.full_shape[0] ?? 0;
  const words = extent ? `${formatLength(extent.x1 - extent.x0, unit)} × ${formatLength(extent.y1 - extent.y0, unit)}` : "";
  return (
    <article className={`tile ${active ? "active" : ""} ${large ? "large" : ""}`} onPointerDownCapture={onActivate}>
      <header>
        <h2 title={`${info.step}.${info.output}`}>{name}<span className="number"><em>{count} places {words && `· ${words}`}</em></span></h2>
        <div className="tools"><IconButton icon={large ? "small" : "full"} label={large ? "Back to all views (Esc)" : "Full screen (f)"} onClick={onLarge} /></div>
      </header>
      <div ref={box} className="places" data-testid={`view-${name}`} role="img" aria-label={`${count} places ${words}`}>
        <canvas ref={canvas} aria-hidden="true" />
        {extent && <p className="number">x {formatOnScale(extent.x0, extent.x1 - extent.x0)} … {formatOnScale(extent.x1, extent.x1 - extent.x0)} {written}, y {formatOnScale(extent.y0, extent.y1 - extent.y0)} … {formatOnScale(extent.y1, extent.y1 - extent.y0)} {written}</p>}
        <StreamNote stream={stream} state={state} />
      </div>
    </article>
  );
}

/** The places that belong to an object: of the same step, beside a probe that tells how wide the beam's window is. */
export function placesOn(info: ViewInfo, views: ViewInfo[]): { places: ViewInfo; window: [number, number] } | null {
  if (info.axes.join(" ") !== "y x") return null;
  const places = views.find((v) => v.step === info.step && isPlaces(v));
  const [rows, columns] = views.find((v) => v.step === info.step && v.axes.slice(-2).join(" ") === "v u")?.shape?.slice(-2) ?? [];
  return places && rows && columns ? { places, window: [rows, columns] } : null;
}

interface OverlayProps { run: string; places: ViewInfo; window: [number, number]; frame: Frame; view: Viewport; size: Size }

/** Dots on the object. Its picture reaches half a window beyond the outermost places, on each side. */
export function PlacesOverlay({ run, places, window: [rows, columns], frame, view, size }: OverlayProps): ReactElement {
  const told = useCalmFrame(useStream(run, places.name), 300);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [height = 1, width = 1] = frame.header.full_shape;
  useEffect(() => {
    const extent = told ? extentOf(told.pixels) : null;
    if (!told || !extent || !canvas.current || size.width < 1) return;
    const along = (value: number, first: number, last: number, length: number, beam: number): number =>
      beam / 2 + (last > first ? ((value - first) / (last - first)) * (length - beam) : 0);
    const place = (y: number, x: number): [number, number] =>
      toScreen(view, size, along(x, extent.x0, extent.x1, width, columns), along(y, extent.y0, extent.y1, height, rows));
    drawDots(canvas.current, size, told.pixels, place, Math.max(1.6, size.width / 300));
  }, [told, view, size, height, width, rows, columns]);
  return <canvas ref={canvas} className="places-overlay" data-testid="places-overlay" />;
}
