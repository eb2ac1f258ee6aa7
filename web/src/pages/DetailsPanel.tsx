import type { ReactElement } from "react";
import { reportAddress } from "../api/client";
import type { RunDetail } from "../api/types";
import { formatAny, formatClock, formatDay } from "../units/format";
import { writeJob } from "./job";

/** What the run found, what was changed in it, and the job that it runs. */
export function DetailsPanel({ run }: { run: RunDetail }): ReactElement {
  return (
    <div className="details" data-testid="details">
      <h3>Values</h3>
      <Values run={run} />
      <h3>Changes</h3>
      <Changes run={run} />
      <h3>Run</h3>
      <dl>
        <dt>id</dt><dd>{run.id}</dd>
        <dt>started</dt><dd>{formatDay(run.started)}</dd>
        {run.ended !== null && <><dt>ended</dt><dd>{formatDay(run.ended)}</dd></>}
        <dt>result</dt><dd data-testid="result">{run.result ?? "no file"}</dd>
      </dl>
      <p><a href={reportAddress(run.id)} download={`${run.id}_report.json`}>Report as JSON</a></p>
      <h3>Job</h3>
      <pre>{writeJob(run.job ?? {})}</pre>
    </div>
  );
}

function Values({ run }: { run: RunDetail }): ReactElement {
  const entries = Object.entries(run.values ?? {});
  if (entries.length === 0) return <p className="quiet">No step has given a value yet.</p>;
  return <dl className="number" data-testid="values">{entries.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{formatAny(value)}</dd></div>)}</dl>;
}

function Changes({ run }: { run: RunDetail }): ReactElement {
  const changes = [...(run.changes ?? [])].reverse().slice(0, 100);
  if (changes.length === 0) return <p className="quiet">Nothing was changed since the start.</p>;
  return (
    <ul className="number">
      {changes.map((c, i) => (
        <li key={`${i}-${c.at}`}><time>{formatClock(c.at)}</time> {c.step}.{c.parameter}: {formatAny(c.old)} → <b>{formatAny(c.new)}</b> <small>from frame {c.id}</small></li>
      ))}
    </ul>
  );
}
