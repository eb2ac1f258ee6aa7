import { type KeyboardEvent, type PointerEvent, type ReactElement, Suspense, lazy, useEffect, useRef, useState } from "react";
import type { Histogram } from "../api/types";
import { Button, ErrorBoundary, Panel } from "../ui";
import { formatValue } from "../units/format";
import { COLOR_MAPS, UNEVEN, type ColorMapName, cssGradient } from "./colormaps";
import type { Display, Levels, Part } from "./display";
import { useCalmFrame, useDisplay } from "./hooks";
import type { FrameSource } from "./stream";

const LevelHistogram = lazy(() => import("./h5web"));

interface Props {
  name: string;
  stream: FrameSource | null;
  display: Display;
  linked: boolean;
  /** Null where the view has no brothers to be linked with. */
  onLink: ((linked: boolean) => void) | null;
}

const PARTS: [Part, string][] = [["both", "amplitude + phase"], ["amplitude", "amplitude"], ["phase", "phase"]];

/** Colour map and contrast of the chosen view. */
export function ContrastPanel({ name, stream, display, linked, onLink }: Props): ReactElement {
  const { colorMap, inverted, auto, part } = useDisplay(display);
  const frame = useCalmFrame(stream, 300);
  const aside = (
    <Button className={`small ${auto ? "on" : ""}`} aria-pressed={auto} onClick={() => display.set({ auto: !auto })} data-testid="auto-levels"
      title="Levels follow the data: 0.5 to 99.5 percent of all pixels (a)">{auto ? "✓ Auto" : "Auto"}</Button>
  );
  return (
    <Panel title={`Contrast · ${linked && onLink ? "linked views" : name}`} aside={aside} testid="contrast">
      <ErrorBoundary what="The histogram">
        <LevelsEditor display={display} histogram={frame?.header.histogram ?? null} />
      </ErrorBoundary>
      {frame?.phase && (
        <div className="map-row" role="radiogroup" aria-label="Which part of complex values to show">
          {PARTS.map(([name, label]) => (
            <Button key={name} className={`small ${part === name ? "on" : ""}`} role="radio" aria-checked={part === name} onClick={() => display.set({ part: name })} data-testid={`part-${name}`}>{label}</Button>
          ))}
        </div>
      )}
      <div className="map-row">
        <select className="select" aria-label="Colour map" value={colorMap} data-testid="colormap" onChange={(e) => display.set({ colorMap: e.target.value as ColorMapName })}>
          {COLOR_MAPS.filter((map) => !UNEVEN.has(map)).map((map) => <option key={map}>{map}</option>)}
          <optgroup label="harder to read for colour-blind eyes">{[...UNEVEN].map((map) => <option key={map}>{map}</option>)}</optgroup>
        </select>
        <i className="map-preview" style={{ background: cssGradient(colorMap, inverted, "to right") }} />
        <label><input type="checkbox" className="check" checked={inverted} onChange={(e) => display.set({ inverted: e.target.checked })} />invert</label>
        {onLink && <label title="The views of one step share colours and levels"><input type="checkbox" className="check" checked={linked} onChange={(e) => onLink(e.target.checked)} />link</label>}
      </div>
    </Panel>
  );
}

/** The same scale as @h5web/lib's histogram draws: data and levels, and 30 % of their span on either side. */
export function histogramScale(histogram: Histogram, levels: Levels): [number, number] {
  const low = Math.min(histogram.low, levels[0]);
  const high = Math.max(histogram.high, levels[1]);
  const margin = 0.3 * (high - low);
  return [low - margin, high + margin];
}

export function usableHistogram(histogram: Histogram | null): Histogram | null {
  if (!histogram || !Array.isArray(histogram.counts) || histogram.counts.length === 0) return null;
  return Number.isFinite(histogram.low) && Number.isFinite(histogram.high) && histogram.high > histogram.low ? histogram : null;
}

function LevelsEditor({ display, histogram }: { display: Display; histogram: Histogram | null }): ReactElement {
  const { levels } = useDisplay(display);
  const shown = usableHistogram(histogram);
  const set = (end: 0 | 1, value: number): void => {
    if (!Number.isFinite(value)) return;
    const next: Levels = end === 0 ? [Math.min(value, levels[1]), levels[1]] : [levels[0], Math.max(value, levels[0])];
    display.set({ auto: false, levels: next });
  };
  return (
    <>
      <div className="histogram">
        {shown && <Suspense fallback={null}><LevelHistogram histogram={shown} value={levels} /></Suspense>}
        {shown && <Handles histogram={shown} levels={levels} set={set} />}
      </div>
      <div className="level-inputs number">
        <LevelInput label="Low" value={levels[0]} onSet={(v) => set(0, v)} />
        <LevelInput label="High" value={levels[1]} onSet={(v) => set(1, v)} />
      </div>
    </>
  );
}

/** Two lines over the histogram that can be dragged, or moved with the arrow keys. */
function Handles({ histogram, levels, set }: { histogram: Histogram; levels: Levels; set: (end: 0 | 1, value: number) => void }): ReactElement {
  const box = useRef<HTMLDivElement>(null);
  const [frozen, setFrozen] = useState<[number, number] | null>(null);
  const [from, to] = frozen ?? histogramScale(histogram, levels);
  const valueAt = (event: PointerEvent): number => {
    const rect = box.current?.getBoundingClientRect();
    return rect ? from + ((event.clientX - rect.left) / rect.width) * (to - from) : from;
  };
  const handle = (end: 0 | 1): ReactElement => (
    <div key={end} className={`level-handle ${end ? "high" : "low"}`} role="slider" tabIndex={0} aria-label={end ? "High level" : "Low level"} aria-valuenow={levels[end]}
      data-testid={end ? "level-high" : "level-low"} style={{ left: `${((levels[end] - from) / (to - from)) * 100}%` }}
      onPointerDown={(e) => {
        e.currentTarget.setPointerCapture(e.pointerId);
        setFrozen([from, to]);
      }}
      onPointerMove={(e) => frozen && set(end, valueAt(e))} onPointerUp={() => setFrozen(null)} onPointerCancel={() => setFrozen(null)}
      onKeyDown={(e: KeyboardEvent) => {
        const by = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[e.key];
        if (!by) return;
        e.preventDefault();
        set(end, levels[end] + by * (e.shiftKey ? 0.1 : 0.02) * (histogram.high - histogram.low));
      }} />
  );
  return <div ref={box} className="level-handles">{handle(0)}{handle(1)}</div>;
}

function LevelInput({ label, value, onSet }: { label: string; value: number; onSet: (value: number) => void }): ReactElement {
  const [draft, setDraft] = useState<string | null>(null);
  useEffect(() => setDraft(null), [value]);
  const commit = (): void => {
    if (draft !== null && draft.trim() !== "") onSet(Number(draft.replace(",", ".").replace("\u2212", "-")));
    setDraft(null);
  };
  return (
    <label>{label}
      <input className="input" value={draft ?? formatValue(value)} inputMode="decimal" onChange={(e) => setDraft(e.target.value)} onBlur={commit} onKeyDown={(e) => e.key === "Enter" && commit()} />
    </label>
  );
}
