import { type ReactElement, Suspense, lazy, useEffect, useMemo, useRef, useState } from "react";
import type { Frame } from "../api/message";
import { humanName } from "../forms/schema";
import { IconButton } from "../ui";
import { formatValue } from "../units/format";
import { StreamNote } from "./ImageParts";
import type { ViewProps } from "./ImageView";
import { useCalmFrame } from "./hooks";
import type { LinePlotProps } from "./h5web";

const LinePlot = lazy(async () => ({ default: (await import("./h5web")).LinePlot }));

let webgl: boolean | null = null;

/** @h5web/lib draws lines with WebGL; without it a plain SVG line says the same. */
export function hasWebgl(): boolean {
  webgl ??= document.createElement("canvas").getContext("webgl2") !== null;
  return webgl;
}

export function lineOf({ header, pixels }: Frame): Omit<LinePlotProps, "log"> {
  const pixel = header.pixel_size?.[0] ?? 1;
  const label = (name: string | undefined, unit: string | null): string => `${name ?? ""}${unit ? ` (${unit})` : ""}`;
  return {
    values: Array.from(pixels),
    positions: Array.from(pixels, (_, i) => i * pixel),
    axisLabel: label(header.axes[0], header.pixel_unit),
    valueLabel: label(humanName(header.view.split(".").at(-1) ?? ""), header.unit),
  };
}

/** Points of an SVG polyline in a box of 1000 × 400, broken where there is no value. */
export function polylines(values: number[]): { parts: string[]; low: number; high: number } {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const span = high - low || 1;
  const parts: string[] = [];
  let part: string[] = [];
  values.forEach((value, i) => {
    if (Number.isFinite(value)) part.push(`${((i / Math.max(1, values.length - 1)) * 1000).toFixed(1)},${(400 - ((value - low) / span) * 400).toFixed(1)}`);
    else if (part.length > 0) {
      parts.push(part.join(" "));
      part = [];
    }
  });
  return { parts: part.length ? [...parts, part.join(" ")] : parts, low, high };
}

/** True if no value is zero or below, and one is above. */
export const canBeLog = (values: number[]): boolean => values.some((value) => value > 0) && !values.some((value) => value <= 0);

function Last({ values }: { values: number[] }): ReactElement | null {
  const last = values.at(-1);
  return last === undefined ? null : <span className="number"><em>{formatValue(last, 3)} after {values.length}</em></span>;
}

/** Without WebGL: a plain line. */
export function SvgPlot({ values, axisLabel, valueLabel, log }: LinePlotProps): ReactElement {
  const drawn = useMemo(() => polylines(log ? values.map(Math.log10) : values), [values, log]);
  const [low, high] = log ? [10 ** drawn.low, 10 ** drawn.high] : [drawn.low, drawn.high];
  const { parts } = drawn;
  return (
    <figure className="svg-plot number">
      <figcaption>{valueLabel}: {formatValue(low)} … {formatValue(high)}{log && ", logarithmic"}</figcaption>
      <svg viewBox="-4 -4 1008 408" preserveAspectRatio="none" role="img" aria-label={valueLabel}>
        {parts.map((points, i) => <polyline key={i} points={points} vectorEffect="non-scaling-stroke" />)}
      </svg>
      <footer>{axisLabel}</footer>
    </figure>
  );
}

/** Any 1-D result. */
export function LineView({ name, info, stream, state, active, large, onActivate, onLarge }: ViewProps): ReactElement {
  const frame = useCalmFrame(stream, 100);
  const box = useRef<HTMLDivElement>(null);
  const line = useMemo(() => (frame ? lineOf(frame) : null), [frame]);
  const Plot = hasWebgl() ? LinePlot : SvgPlot;
  useEffect(() => {
    if (!frame) return;
    box.current?.setAttribute("data-version", String(frame.header.version));
    box.current?.setAttribute("data-id", String(frame.header.id));
  }, [frame]);
  const [chosen, setLog] = useState<boolean | null>(null);
  const can = line !== null && canBeLog(line.values);
  const log = can && (chosen ?? info.axes[0] === "iteration");
  return (
    <article className={`tile ${active ? "active" : ""} ${large ? "large" : ""}`} onPointerDownCapture={onActivate}>
      <header>
        <h2 title={`${info.step}.${info.output}`}>{name}{line && <Last values={line.values} />}</h2>
        <div className="tools">
          {can && <button type="button" className={`button small ${log ? "on" : ""}`} aria-pressed={log} onClick={() => setLog(!log)} data-testid={`log-${name}`}>log</button>}
          <IconButton icon={large ? "small" : "full"} label={large ? "Back to all views (Esc)" : "Full screen (f)"} onClick={onLarge} /></div>
      </header>
      <div ref={box} className="line" data-testid={`view-${name}`}>
        {line && <Suspense fallback={null}><Plot {...line} log={log} /></Suspense>}
        <StreamNote stream={stream} state={state} />
      </div>
    </article>
  );
}
