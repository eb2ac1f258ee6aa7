import { type KeyboardEvent, type ReactElement, useEffect, useMemo, useState } from "react";
import type { Job } from "../api/types";
import { humanName } from "../forms/schema";
import { Button, Mistakes, Slider } from "../ui";
import { formatDuration } from "../units/format";
import { StillImage } from "../views/StillImage";
import type { Display } from "../views/display";
import { Curve } from "./Curve";
import { SweepSheet } from "./SweepSheet";
import { centerOf, setCenter, stepsOf, nameOf } from "./edit";
import { type Slice, resultOf } from "./useDesk";

interface Props {
  job: Job;
  onJob: (job: Job) => void;
  slice: Slice;
  shown: string | null;
  onShow: (output: string) => void;
  row: number | null;
  onRow: (row: number) => void;
  /** Columns of the detector. */
  columns: number;
  /** Centre that was found before the user took it over. */
  found: number | null;
  display: Display;
}

const NUDGE = 0.25;

/** One slice, made again whenever something is set; rows and the centre by sliders, the centre also by arrow keys. */
export function SlicePanel({ job, onJob, slice, shown, onShow, row, onRow, columns, found, display }: Props): ReactElement {
  const { told, busy, mistake } = slice;
  const given = centerOf(job);
  const center = given?.center ?? (told && given ? resultOf(told.values, given.from) : null) ?? found;
  const name = shown ?? nameOf(stepsOf(job).at(-1) ?? { use: "" });
  const nudge = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -NUDGE, ArrowDown: -NUDGE, ArrowRight: NUDGE, ArrowUp: NUDGE }[event.key];
    if (by === undefined || center === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    onJob(setCenter(job, Number((Math.round(center / NUDGE) * NUDGE + by).toFixed(3))));
  };
  const rows = told?.rows ?? 1;
  // the picture is that of the settings before, or of another step
  const outdated = mistake !== null && told !== null && !busy;
  const old = outdated || (told !== null && told.view.split(".")[0] !== name.split(".")[0]);
  const busyText = outdated ? "not of these settings" : busy ? "Reconstructing…" : told ? `made in ${told.seconds < 1 ? `${(told.seconds * 1000).toFixed(0)} ms` : formatDuration(told.seconds)}` : "";
  const state = useMemo(() => <span className={`tag ${busy ? "busy" : ""} ${outdated ? "old" : ""}`} role="status" data-testid="slice-state" data-busy={busy}>{busyText}</span>, [busy, outdated, busyText]);
  const { ends: [least, most], settle } = useEnds(center, columns);
  const [sweeping, setSweeping] = useState(false);
  const outputs = told?.outputs ?? [];
  const aside = (
    <>
      {outputs.length > 1 && (
        <select className="select" aria-label="Output that is shown" data-testid="which-output" value={outputs.find((o) => o === name) ?? outputs[0]} onChange={(e) => onShow(e.target.value)}>
          {outputs.map((output) => <option key={output} value={output}>{output.split(".").at(-1)}</option>)}
        </select>
      )}
      {state}
    </>
  );
  const beside = Math.min(told?.margin ?? 0, rows - 1);
  const title = <>{humanName(name.split(".")[0] ?? "")}<span className="number" title={name}>{told && rows > 1 ? `row ${told.row}` : ""}{beside > 0 && <em title="Rows beside it are read as well: a step looks at neighbours"> ± {beside} rows read</em>}</span></>;
  const Shown = slice.line ? Curve : StillImage;
  return (
    <div className={`slice ${old ? "old" : ""}`}>
      <Shown name="slice" title={title} still={slice.still} display={display} aside={aside}>
        {mistake && <div className="slice-mistake"><Mistakes {...mistake} testid="slice-mistake" /></div>}
        {!told && !mistake && <div className="stream-note middle" role="status">The first picture takes a few seconds…</div>}
      </Shown>
      <footer className="slice-controls number">
        {rows > 1 && (
          <label>Row <strong>{told?.row}</strong> <em>of 0 … {rows - 1}</em>
            <Slider label="Detector row" value={row ?? told?.row ?? 0} min={0} max={rows - 1} onChange={onRow} testid="row" />
          </label>
        )}
        {given && center !== null && (
          <label onKeyDown={nudge} onPointerUp={settle}>Centre <strong data-testid="center-value">{center.toFixed(2)}</strong> px {given.center === null && <em>as found by {humanName(given.from ?? "")}</em>}
            <Slider label="Centre of rotation, in pixels; arrow keys move it by a quarter" value={center} min={least} max={most} step="any"
              color="var(--axis-x)" text={`${center.toFixed(2)} pixels`} onChange={(value) => onJob(setCenter(job, Math.round(value / NUDGE) * NUDGE))} testid="center" />
            <span className="center-tools">{told && <Button className="small" icon="dots" onClick={() => setSweeping(true)} title="The slice with many centres side by side" data-testid="sweep">Try many</Button>}
            {given.center !== null && found !== null && <button type="button" className="link" onClick={() => onJob(setCenter(job, Number(found.toFixed(3))))}>back to {found.toFixed(2)}, as found</button>}</span>
          </label>
        )}
      </footer>
      {sweeping && given && center !== null && (
        <SweepSheet job={job} step={given.step} center={center} row={row} onClose={() => setSweeping(false)}
          onTake={(value) => { onJob(setCenter(job, value)); setSweeping(false); }} />
      )}
    </div>
  );
}

/** How far the slider reaches on each side: fine steps where the eye needs them. */
const span = (columns: number): number => Math.max(5, Math.round(columns / 40));

/** The ends of the slider. They stay where they are while it is moved, or nobody could see how far. */
function useEnds(center: number | null, columns: number): { ends: [number, number]; settle: () => void } {
  const [middle, setMiddle] = useState<number | null>(null);
  const reach = span(columns);
  const inside = middle !== null && center !== null && Math.abs(center - middle) <= reach;
  const about = inside ? middle : center;
  useEffect(() => { if (!inside && center !== null) setMiddle(center); }, [inside, center]);
  const from = about ?? 0;
  return { ends: [Math.max(0, from - reach), Math.min(columns - 1, from + reach)], settle: () => { if (center !== null && Math.abs(center - from) > 0.9 * reach) setMiddle(center); } };
}
