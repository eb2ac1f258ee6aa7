import { type ReactElement, useEffect, useState } from "react";
import { type Mistake, api, mistakeOf, sayError } from "../api/client";
import { useRun } from "../api/hooks";
import type { Job, Json } from "../api/types";
import { ENDED } from "../api/types";
import { StageList } from "../pages/StageList";
import { STOPPING, errorText, wordsOfRun } from "../pages/states";
import { useStop } from "../pages/stop";
import { follow, runPath } from "../pages/route";
import { writeJob } from "../pages/job";
import { Button, Chip, Mistakes, Panel } from "../ui";
import { firstSink } from "./edit";
import { pageWords } from "./words";

interface Props {
  job: Job;
  onJob: (job: Job) => void;
  run: string | null;
  onRun: (run: string | null) => void;
  onResult: (path: string) => void;
  onEnded: (run: string) => void;
}

/** Where the result goes, the whole run, and how far each part of it is. Always in sight: it is what all the rest is for. */
export function RunPanel({ job, onJob, run, onRun, onResult, onEnded }: Props): ReactElement {
  const [mistake, setMistake] = useState<Mistake | null>(null);
  const [busy, setBusy] = useState(false);
  const sink = firstSink(job);
  const path = String(sink["path"] ?? "");
  const setSink = (change: Record<string, Json>): void => onJob({ ...job, sinks: [{ ...sink, ...change }] });
  const start = async (): Promise<void> => {
    setBusy(true);
    setMistake(null);
    onRun(null);
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
    <div className="desk-run">
      <Panel title="Result" testid="result-panel" aside={<a className="button small" href={save} download={`${String(job["name"] ?? "job")}.yaml`} title="A file for firstlight run, on this machine or another">Save the job</a>}>
        <label className="out">Goes to<textarea className="input path" rows={path.length > 34 ? 2 : 1} spellCheck={false} value={path} title={path} onChange={(e) => setSink({ path: e.target.value.replace(/\n/g, "") })} data-testid="out" /></label>
        <div className="start-buttons">
          <Button tone="main" icon="play" disabled={busy} onClick={() => void start()} data-testid="run-all">{busy ? "Starting…" : "Reconstruct all"}</Button>
          <label className="out-check"><input type="checkbox" role="switch" className="check" checked={sink["overwrite"] === true} onChange={(e) => setSink({ overwrite: e.target.checked })} data-testid="overwrite" />Overwrite what is there</label>
        </div>
        {mistake && <Mistakes message={pageWords(mistake.message)} problems={mistake.problems.map(pageWords)} testid="run-mistakes" />}
        {run && <Progress key={run} id={run} onResult={onResult} onEnded={onEnded} />}
      </Panel>
    </div>
  );
}

function Progress({ id, onResult, onEnded }: { id: string } & Pick<Props, "onResult" | "onEnded">): ReactElement | null {
  const { run, error, link } = useRun(id);
  const { stopping, trouble, stop } = useStop(id);
  const over = run !== null && ENDED.has(run.state);
  useEffect(() => { if (over) onEnded(id); }, [over, id, onEnded]);
  if (!run) return <p className={error === null ? "quiet" : "mistake"}>{error === null ? "The run is starting…" : sayError(error)}</p>;
  const words = stopping && !over ? STOPPING : wordsOfRun(run);
  const { result } = run;
  return (
    <div className="run-progress" data-testid="progress">
      <header>
        <Chip tone={words.tone} title={words.meaning} testid="run-state">{words.label}</Chip>
        <a href={runPath(id)} onClick={follow(runPath(id))} title="Log, values and details of this run">{run.name || id}</a>
        <span className="spacer" />
        {over
          ? result && <Button icon="eye" className="small" onClick={() => onResult(result)} data-testid="open-result">Open the result</Button>
          : <Button tone="danger" icon="stop" className="small" disabled={stopping} onClick={() => void stop()} data-testid="stop-run">{stopping ? "Stopping…" : "Stop"}</Button>}
      </header>
      {!over && link === "lost" && <p className="mistake">No connection to the service; the run goes on without it.</p>}
      {run.state !== "done" && <StageList run={run} />}
      {run.error && <p className="mistake" role="alert">{pageWords(errorText(run.error))}</p>}
      {trouble && <p className="mistake" role="alert">{trouble}</p>}
    </div>
  );
}
