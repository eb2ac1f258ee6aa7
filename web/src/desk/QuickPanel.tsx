import type { ReactElement, ReactNode } from "react";
import { fieldsOf } from "../api/json";
import type { Job, Json } from "../api/types";
import { Panel } from "../ui";
import { FINITE, binOf, hasStep, insertAfter, lastCorrection, nameOf, rangeMistake, remove, setAverage, setBin, stepsOf, without } from "./edit";

interface Props { job: Job; onJob: (job: Job) => void }

const BINS = [1, 2, 3, 4, 8];
const PARTS = ["from", "to", "step"];
const only = (job: Job): Record<string, Json> => fieldsOf(job["only"]);

function setOnly(job: Job, axis: string, text: string): Job {
  const rest = without(only(job), axis);
  const next: Job = text === "" ? rest : { ...rest, [axis]: text };
  const bare = without(job, "only");
  return Object.keys(next).length > 0 ? { ...bare, only: next } : bare;
}

/** "100:200:4" as start, stop and step. */
const partsOf = (text: Json | undefined): [string, string, string] => {
  const [a = "", b = "", c = ""] = typeof text === "string" ? text.split(":") : [];
  return [a, b, c];
};
const textOf = (parts: string[]): string => (parts.every((p) => p === "") ? "" : parts[2] ? parts.join(":") : `${parts[0]}:${parts[1]}`);

interface QuickProps extends Props {
  /** How many the scan has; null while that is not known. */
  rows: number | null;
  angles: number | null;
}

/** The choices that nearly every reconstruction comes down to, each as one field; the steps below show what they do. */
export function QuickPanel({ job, onJob, rows, angles }: QuickProps): ReactElement {
  const flat = stepsOf(job).some((s) => s.use === "flat_field");
  const setLog = (on: boolean): void => {
    const before = stepsOf(job).filter((s) => s.use !== FINITE.use).map(nameOf);
    const after = before.includes("flat_field") ? "flat_field" : lastCorrection(job);
    onJob(on ? insertAfter(job, after, { use: "minus_log" }) : remove(job, "minus_log"));
  };
  const setFinite = (on: boolean): void => onJob(on ? insertAfter(job, lastCorrection(job), { ...FINITE }) : remove(job, FINITE.name));
  return (
    <Panel title="Settings" testid="settings">
      <Field label="Absorptivity (−log)"><input type="checkbox" role="switch" className="check" aria-label="Absorptivity (−log)" data-testid="set-log" checked={hasStep(job, "minus_log")} onChange={(e) => setLog(e.target.checked)} /></Field>
      <Field label="NaN and Inf become 0"><input type="checkbox" role="switch" className="check" aria-label="NaN and Inf become 0" data-testid="set-finite" checked={hasStep(job, FINITE.name)} onChange={(e) => setFinite(e.target.checked)} /></Field>
      {flat && (
        <Field label="Darks and flats by their">
          <select className="select" aria-label="Darks and flats by their" data-testid="set-average" value={hasStep(job, "median_flat") ? "median" : "mean"} onChange={(e) => onJob(setAverage(job, e.target.value === "median"))}><option>mean</option><option>median</option></select>
        </Field>
      )}
      <Field label="Binning">
        <select className="select" aria-label="Binning" data-testid="set-bin" value={binOf(job)} onChange={(e) => onJob(setBin(job, Number(e.target.value)))}>{[...new Set([...BINS, binOf(job)])].map((n) => <option key={n} value={n}>{n} × {n}</option>)}</select>
      </Field>
      <Range job={job} axis="row" size={rows} onJob={onJob} />
      <Range job={job} axis="angle" size={angles} onJob={onJob} />
    </Panel>
  );
}

function Range({ job, axis, size, onJob }: Props & { axis: string; size: number | null }): ReactElement {
  const parts = partsOf(only(job)[axis]);
  const set = (i: number, text: string): void => {
    if (/^\d*$/.test(text)) onJob(setOnly(job, axis, textOf(parts.map((p, j) => (j === i ? text : p)))));
  };
  const title = axis === "row" ? "Rows" : "Projections";
  const mistake = rangeMistake(parts, size);
  return (
    <Field label={`${title}: from, to, step`} mistake={mistake}>
      <span className="range">{["0", size === null ? "end" : String(size), "1"].map((hint, i) => (
        <input key={i} className="input number" inputMode="numeric" aria-label={`${title}: ${PARTS[i]}`} aria-invalid={mistake !== null} data-testid={`only-${axis}-${PARTS[i]}`}
          placeholder={hint} value={parts[i]} onChange={(e) => set(i, e.target.value)} />
      ))}</span>
    </Field>
  );
}

function Field({ label, mistake = null, children }: { label: string; mistake?: string | null; children: ReactNode }): ReactElement {
  return <div className="field"><span className="label">{label}</span>{children}{mistake && <p className="mistake" role="alert">{mistake}</p>}</div>;
}
