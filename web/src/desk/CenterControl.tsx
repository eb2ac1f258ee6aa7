import { type KeyboardEvent, type ReactElement, useEffect, useState } from "react";
import type { Job } from "../api/types";
import { humanName } from "../forms/schema";
import { Button, Slider } from "../ui";
import { SweepSheet } from "./SweepSheet";
import { centerOf, setCenter } from "./edit";
import { type Slice, resultOf } from "./useDesk";

interface Props {
  job: Job;
  onJob: (job: Job) => void;
  told: Slice["told"];
  row: number | null;
  /** Columns of the detector. */
  columns: number;
  /** Centre that was found before the user took it over. */
  found: number | null;
}

/** Pixels by which an arrow key moves the centre. */
const NUDGE = 0.25;
const onGrid = (center: number): number => Math.round(center / NUDGE) * NUDGE;
const KEYS: Record<string, number> = { ArrowLeft: -NUDGE, ArrowDown: -NUDGE, ArrowRight: NUDGE, ArrowUp: NUDGE };

/** The centre of rotation: by a slider, by arrow keys, or by eye from many slices side by side. */
export function CenterControl({ job, onJob, told, row, columns, found }: Props): ReactElement | null {
  const given = centerOf(job);
  const center = given?.center ?? (told && given ? resultOf(told.values, given.from) : null) ?? found;
  const { ends: [least, most], settle } = useEnds(center, columns);
  const [sweeping, setSweeping] = useState(false);
  if (!given || center === null) return null;
  const set = (value: number): void => onJob(setCenter(job, value));
  const nudge = (event: KeyboardEvent): void => {
    const by = KEYS[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    set(onGrid(center) + by);
  };
  return (
    <>
      <label onKeyDown={nudge} onPointerUp={settle}>Centre <strong data-testid="center-value">{center.toFixed(2)}</strong> px {given.center === null && <em>as found by {humanName(given.from ?? "")}</em>}
        <Slider label="Centre of rotation, in pixels; arrow keys move it by a quarter" value={center} min={least} max={most} step="any"
          color="var(--axis-x)" text={`${center.toFixed(2)} pixels`} onChange={(value) => set(onGrid(value))} testid="center" />
        <span className="center-tools">
          {told && <Button className="small" icon="dots" onClick={() => setSweeping(true)} title="The slice with many centres side by side" data-testid="sweep">Try many</Button>}
          {given.center !== null && found !== null && <button type="button" className="link" onClick={() => set(Number(found.toFixed(3)))}>back to {found.toFixed(2)}, as found</button>}
        </span>
      </label>
      {sweeping && (
        <SweepSheet job={job} step={given.step} center={center} row={row} onClose={() => setSweeping(false)}
          onTake={(value) => { set(value); setSweeping(false); }} />
      )}
    </>
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
