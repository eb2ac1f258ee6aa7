import { type ReactElement, useEffect, useState } from "react";
import { api, sayError } from "../api/client";
import { usePolled } from "../api/hooks";
import type { Health, RunDetail, RunSummary } from "../api/types";
import { ENDED } from "../api/types";
import { Banner, Chip, Icon } from "../ui";
import { formatCount, formatDay, formatDuration } from "../units/format";
import { StartPanel } from "./StartPanel";
import { OFFLINE, follow, runPath } from "./route";
import { errorText, wordsOf, wordsOfRun } from "./states";

const DETAILED = 25;
/** Milliseconds without an answer that people begin to feel. */
const FELT_MS = 250;

/** Details of the newest runs, which the service lists first; of those that ended once is enough. */
function useDetails(runs: RunSummary[] | null): Map<string, RunDetail> {
  const [details, setDetails] = useState(new Map<string, RunDetail>());
  useEffect(() => {
    let gone = false;
    const wanted = (runs ?? []).slice(0, DETAILED).filter((run) => !ENDED.has(run.state) || details.get(run.id)?.state !== run.state);
    const load = async (): Promise<void> => {
      const answers = await Promise.allSettled(wanted.map((run) => api.run(run.id)));
      const good = answers.flatMap((a) => (a.status === "fulfilled" ? [a.value] : []));
      if (!gone && good.length > 0) setDetails((old) => new Map([...old, ...good.map((d) => [d.id, d] as const)]));
    };
    if (wanted.length > 0) void load();
    return () => { gone = true; };
    // a new list of runs is what makes us look again; our own answer must not
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [runs]);
  return details;
}

export function HomePage(): ReactElement {
  const { value: runs, error, again } = usePolled(api.runs, 1500);
  const { value: health } = usePolled(api.health, 5000);
  const details = useDetails(runs);
  useEffect(() => { document.title = "firstlight"; }, []);
  return (
    <div className="home">
      <header className="top">
        <Brand />
        <a className="button" href={OFFLINE} onClick={follow(OFFLINE)} data-testid="to-offline"><Icon name="file" />Reconstruct a recorded scan</a>
        <span className="spacer" />
        {health && !error && <HealthLine health={health} />}
      </header>
      {error !== null && <Banner tone="bad" title="No connection to the service." testid="no-service">{`${sayError(error)} Runs go on without it; this page comes back by itself.`}</Banner>}
      <main className="home-body">
        <section aria-labelledby="runs-title">
          <h1 id="runs-title">Runs</h1>
          {runs === null ? <p className="empty">{error === null ? "Loading…" : "The list comes back with the service."}</p> : <RunTable runs={runs} details={details} />}
        </section>
        <StartPanel onStarted={again} />
      </main>
    </div>
  );
}

export function Brand(): ReactElement {
  return <a className="brand" href="/" onClick={follow("/")} aria-label="firstlight: all runs"><img src="/icon.svg" alt="" /><span>firstlight</span></a>;
}

function HealthLine({ health }: { health: Health }): ReactElement {
  const stall = health.loop_stall_ms.max_last_minute;
  return (
    <span className="health number" data-testid="health">
      <Chip tone={stall > FELT_MS ? "warn" : "good"} title={`In the last minute it answered nobody for at most ${stall.toFixed(0)} ms; more than ${FELT_MS} ms is felt`}>
        {stall > FELT_MS ? `Service slow: ${stall.toFixed(0)} ms` : "Service well"}
      </Chip>
      version {health.version} · up {formatDuration(health.uptime_s)}
    </span>
  );
}

function RunTable({ runs, details }: { runs: RunSummary[]; details: Map<string, RunDetail> }): ReactElement {
  if (runs.length === 0) return <p className="empty" data-testid="no-runs">No runs yet. <a href={OFFLINE} onClick={follow(OFFLINE)}>Reconstruct a recorded scan</a>, or paste a job and press Start.</p>;
  return (
    <table className="runs" data-testid="runs">
      <thead><tr><th>Run</th><th>State</th><th>Frames</th><th>Missing</th><th>Started</th><th>Took</th></tr></thead>
      <tbody>{runs.map((run) => <Row key={run.id} run={run} detail={details.get(run.id)} />)}</tbody>
    </table>
  );
}

function Row({ run, detail }: { run: RunSummary; detail: RunDetail | undefined }): ReactElement {
  const words = detail?.state === run.state ? wordsOfRun(detail) : wordsOf(run.state);
  const missing = detail ? detail.counts.lost + detail.counts.dropped + detail.counts.rejected : 0;
  const took = (run.ended ?? Date.now() / 1000) - run.started;
  return (
    <tr data-testid={`run-${run.id}`}>
      <td><a href={runPath(run.id)} onClick={follow(runPath(run.id))}>{run.name || run.id}</a>{run.error && <p className="run-error">{errorText(run.error)}</p>}</td>
      <td><Chip tone={words.tone} title={words.meaning}>{words.label}</Chip></td>
      <td className="number">{detail ? <Progress detail={detail} /> : "–"}</td>
      <td className="number">{missing > 0 ? <Chip tone="warn" title="lost, dropped and rejected frames">{formatCount(missing)} missing</Chip> : detail ? "none" : "–"}</td>
      <td className="number">{formatDay(run.started)}</td>
      <td className="number">{formatDuration(took)}</td>
    </tr>
  );
}

function Progress({ detail: { counts } }: { detail: RunDetail }): ReactElement {
  const { done, expected } = counts;
  return (
    <div className="progress">
      <span>{formatCount(done)}{expected !== null && ` of ${formatCount(expected)}`}</span>
      {expected !== null && expected > 0 && <progress value={done} max={expected} aria-label="Progress" />}
    </div>
  );
}
