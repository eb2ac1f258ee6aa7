/** What lies around and over an image: colour bar, scale bar, value under the cursor, state of the stream. */
import { type ReactElement, useEffect, useState } from "react";
import type { Frame } from "../api/message";
import type { FrameHeader, RunState, ViewInfo } from "../api/types";
import { ENDED } from "../api/types";
import { formatDuration, formatLength, formatOnScale, formatValue } from "../units/format";
import { cssGradient, cssWheel } from "./colormaps";
import type { Display } from "./display";
import { useCalmFrame, useDisplay, useStreamState } from "./hooks";
import { phaseAt, valueAt } from "./painter";
import type { FrameSource } from "./stream";
import type { Viewport } from "./viewport";

/** Drawn from the same table as the image (the bar of @h5web/lib knows d3's ramps only, not our linear gray). */
export function ColorBar({ display, unit, complex, empty }: { display: Display; unit: string | null; complex: boolean; /** No image has come: its place is kept, and no values are made up. */ empty: boolean }): ReactElement {
  const { colorMap, inverted, levels, part } = useDisplay(display);
  if (empty) return <div className="color-bar" />;
  if (complex && part === "both") return <PhaseWheel high={levels[1]} unit={unit} />;
  if (complex && part === "phase") return <PhaseBar />;
  const middle = (levels[0] + levels[1]) / 2;
  return (
    <div className="color-bar number" aria-label={`Colours from ${formatValue(levels[0])} to ${formatValue(levels[1])} ${unit ?? ""}`} role="img">
      <div className="color-strip" style={{ background: cssGradient(colorMap, inverted, "to top") }} />
      <div className="color-labels">{[levels[1], middle, levels[0]].map((value, i) => <span key={i}>{formatOnScale(value, levels[1] - levels[0])}</span>)}</div>
      <div className="color-unit">{unit ?? ""}</div>
    </div>
  );
}

/** Hue is the phase, brightness the magnitude: black in the middle, full at the rim. */
function PhaseWheel({ high, unit }: { high: number; unit: string | null }): ReactElement {
  return (
    <div className="color-bar wheel-bar number" role="img" aria-label={`Hue is the phase, brightness the magnitude, full at ${formatValue(high)} ${unit ?? ""}`} data-testid="phase-wheel">
      <div className="phase-wheel" style={{ background: `radial-gradient(circle, #000, transparent 70%), ${cssWheel()}` }}>
        <span className="at-0">0</span><span className="at-90">π/2</span><span className="at-180">π</span><span className="at-270">−π/2</span>
      </div>
      <small>hue: phase</small><small>brightness: amplitude</small><small>full: {formatOnScale(high, high)} {unit ?? ""}</small>
    </div>
  );
}

function PhaseBar(): ReactElement {
  return (
    <div className="color-bar number" role="img" aria-label="Colours of the phase from −π to π">
      <div className="color-strip" style={{ background: cssGradient("cyclic", false, "to top") }} />
      <div className="color-labels"><span>π</span><span>0</span><span>−π</span></div>
      <div className="color-unit">rad</div>
    </div>
  );
}

const NICE = [1, 2, 5];

/** The length of 1, 2 or 5 × 10ⁿ nearest below `longest`. */
export function niceLength(longest: number): number {
  if (!(longest > 0) || !Number.isFinite(longest)) return 0;
  const ten = 10 ** Math.floor(Math.log10(longest));
  return ten * ([...NICE].reverse().find((n) => n * ten <= longest * (1 + 1e-9)) ?? 1);
}

export function ScaleBar({ view, width, info }: { view: Viewport; width: number; info: Pick<ViewInfo, "pixel_size" | "pixel_unit"> }): ReactElement | null {
  const pixel = info.pixel_size?.[1];
  const length = pixel ? niceLength((width * 0.22 * pixel) / view.sx) : niceLength((width * 0.22) / view.sx);
  const screen = (length / (pixel ?? 1)) * view.sx;
  if (!(screen > 8)) return null;
  return <div className="scale-bar number"><i style={{ width: screen }} />{pixel ? formatLength(length, info.pixel_unit ?? "px") : `${formatValue(length)} px`}</div>;
}

interface ReadoutProps {
  stream: FrameSource | null;
  at: { row: number; column: number } | null;
}

/** Position and value under the cursor, in pixels and in real units; follows the stream while the cursor rests. */
export function Readout({ stream, at }: ReadoutProps): ReactElement | null {
  const frame = useCalmFrame(stream, 100);
  if (!at || !frame) return null;
  const [height = 1, width = 1] = frame.header.full_shape;
  if (at.row < 0 || at.column < 0 || at.row >= height || at.column >= width) return null;
  return <div className="readout number" data-testid="readout">{readoutText(frame, at)}</div>;
}

export function readoutText(frame: Frame, { row, column }: { row: number; column: number }): string {
  const { pixel_unit: unit, unit: valueUnit } = frame.header;
  const axes = frame.header.axes.slice(-2);
  const size = frame.header.pixel_size?.slice(-2);
  const value = valueAt(frame, row, column);
  const place = `${axes[1] ?? "column"} ${column}  ${axes[0] ?? "row"} ${row}`;
  // angles count from the middle of the frame, lengths from its first pixel
  const [middleRow, middleColumn] = unit?.endsWith("rad") ? frame.header.full_shape.slice(-2).map((n) => (n - 1) / 2) : [0, 0];
  const real = size && unit ? `  (${formatLength((column - (middleColumn ?? 0)) * (size[1] ?? 1), unit)}, ${formatLength((row - (middleRow ?? 0)) * (size[0] ?? 1), unit)})` : "";
  const phase = phaseAt(frame, row, column);
  const turn = phase === null || Number.isNaN(phase) ? "" : `  ∠ ${formatValue(phase, 3)} rad`;
  return `${place}${real}   ${value === null ? "…" : formatValue(value)}${value !== null && !Number.isNaN(value) && valueUnit ? ` ${valueUnit}` : ""}${turn}`;
}

/** Coarse, covered in part, or drawn out of proportion: only what is worth knowing. */
export function Quality({ header, exact }: { header: FrameHeader; exact: boolean }): ReactElement {
  const covered = Math.floor(Math.min(1, Math.max(0, header.coverage)) * 100);
  return (
    <>
      {header.coarse && <span className="tag" title="A quick first result; the full one follows">coarse</span>}
      {!exact && <span className="tag" title="The image is very flat; its rows are drawn taller than they are">not to scale</span>}
      {covered < 100 && (
        <span className="tag coverage" title={`${covered} % of the data for this image have come`} data-testid="coverage">
          <i style={{ width: `${covered}%` }} /><b data-short={`${covered} %`}>{covered} % covered</b>
        </span>
      )}
    </>
  );
}

/** Age of the newest frame in an image, in seconds: what the service says, and the time since it came. */
export function ageOf(stream: Pick<FrameSource, "frame" | "drawnAt">, now: number): number | null {
  if (!stream.frame) return null;
  const { sent, received } = stream.frame.header;
  const inService = Number.isFinite(sent - received) ? Math.max(0, sent - received) : 0;
  return inService + (now - stream.drawnAt) / 1000;
}

export function StreamNote({ stream, state }: { stream: FrameSource | null; state: RunState }): ReactElement | null {
  const { link, problem } = useStreamState(stream);
  const frame = useCalmFrame(stream, 200);
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const age = stream ? ageOf(stream, performance.now()) : null;
  if (problem) return <Note tone="bad" text={problem} />;
  if (link === "lost") return <Note tone="warn" text="Connection lost. Trying again…" />;
  if (!frame) return <Note text={ENDED.has(state) ? "The run ended without an image here." : "Waiting for the first image…"} middle />;
  if (!ENDED.has(state) && state !== "draining" && age !== null && age > 5) return <Note tone="warn" text={`No new image for ${formatDuration(age)}`} />;
  return null;
}

function Note({ text, tone = "calm", middle = false }: { text: string; tone?: string; middle?: boolean }): ReactElement {
  return <div className={`stream-note ${tone} ${middle ? "middle" : ""}`} role="status">{text}</div>;
}
