import { type ReactElement, useState } from "react";
import { api } from "../api/client";
import { useRun } from "../api/hooks";
import type { Job, Json, RunDetail } from "../api/types";
import { ENDED } from "../api/types";
import { errorText, wordsOf } from "../pages/states";
import { follow, runPath } from "../pages/route";
import { writeJob } from "../pages/job";
import { Button, Chip, Panel } from "../ui";
import { formatCount, formatDuration } from "../units/format";
import { type Mistake, mistakeOf } from "./useDesk";

interface Props { job: Job; onJob: (job: Job) => void; run: string | null; onRun: (run: string) => void; onResult: (path: string) => void }

const firstSink = (job: Job): Record<string, Json> => {
  const sinks = job["sinks"];
  const first = Array.isArray(sinks) ? sinks[0] : null;
  return typeof first === "object" && first !== null && !Array.isArray(first) ? first : {};
};

/** Where the result goes, the whole run, and how far each part of it is. */
export function RunPanel({ job, onJob, run, onRun, onResult }: Props): ReactElement {
  const [mistake, setMistake] = useState<Mistake | null>(null);
  const [busy, setBusy] = useState(false);
  const sink = firstSink(job);
  const setSink = (change: Record<string, Json>): void => onJob({ ...job, sinks: [{ ...sink, ...change }] });
  const start = async (): Promise<void> => {
    setBusy(true);
    setMistake(null);
    try {
      onRun((await api.start(job)).id);
    } catch (error) {
      setMistake(mistakeOf(error));
    } finally {
      setBusy(false);
    }
  };
  const save = `data:application/yaml;charset=utf-8,${encodeURIComponent(writeJob(job))}`;
  return (
    <Panel title="Result" testid="result-panel">
      <label className="out">Goes to<input className="input" value={String(sink["path"] ?? "")} onChange={(e) => setSink({ path: e.target.value })} data-testid="out" /></label>
      <label className="out-check"><input type="checkbox" role="switch" className="check" checked={sink["overwrite"] === true} onChange={(e) => setSink({ overwrite: e.target.checked })} data-testid="overwrite" />Overwrite what is there</label>
      <div className="start-buttons">
        <Button tone="main" icon="play" disabled={busy} onClick={() => void start()} data-testid="run-all">{busy ? "Starting…" : "Reconstruct all"}</Button>
        <a className="button" href={save} download={`${String(job["name"] ?? "job")}.yaml`} title="For firstlight run, on this machine or another">Save the job</a>
      </div>
      {mistake && <div className="mistakes" role="alert" data-testid="run-mistakes"><strong>{mistake.message}</strong>{mistake.problems.length > 0 && <ol>{mistake.problems.map((p) => <li key={p}>{p}</li>)}</ol>}</div>}
      {run && <Progress key={run} id={run} onResult={onResult} />}
    </Panel>
  );
}

function Progress({ id, onResult }: { id: string; onResult: (path: string) => void }): ReactElement | null {
  const { run } = useRun(id);
  if (!run) return <p className="quiet">The run is starting…</p>;
  const words = wordsOf(run.state);
  const { result } = run;
  return (
    <div className="along" data-testid="progress">
      <p><Chip tone={words.tone} title={words.meaning} testid="run-state">{words.label}</Chip> <a href={runPath(id)} onClick={follow(runPath(id))}>{run.name || id}</a>{run.bound && <small> bound by {run.bound}</small>}</p>
      <Stages run={run} />
      {run.error && <p className="mistake" role="alert">{errorText(run.error)}</p>}
      {ENDED.has(run.state)
        ? result && <Button icon="eye" onClick={() => onResult(result)} data-testid="open-result">Open the result</Button>
        : <Button tone="danger" icon="stop" className="small" onClick={() => void api.stop(id)}>Stop</Button>}
    </div>
  );
}

function Stages({ run }: { run: RunDetail }): ReactElement {
  return (
    <ul className="stages number">
      {run.stages.map((stage) => (
        <li key={stage.name}><span>{stage.name}</span><progress value={stage.done} max={Math.max(1, stage.expected)} aria-label={`Progress of ${stage.name}`} />
          <small>{formatCount(stage.done)} of {formatCount(stage.expected)}{stage.left ? `, ${formatDuration(stage.left)} left` : ""}</small></li>
      ))}
    </ul>
  );
}
