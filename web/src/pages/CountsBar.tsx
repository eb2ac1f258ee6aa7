import type { ReactElement } from "react";
import type { Counts, RunDetail } from "../api/types";
import { Icon } from "../ui";
import { formatBytes, formatCount, formatLatency } from "../units/format";

const MEANING: Record<keyof Counts, string> = {
  expected: "Frames of the scan: known from the source, or first to last seen",
  done: "Frames that every step has finished",
  lost: "Frames that never came from the detector or over the network",
  dropped: "Frames that our own buffers gave up, by the policy of the job",
  rejected: "Frames that could not be decoded or had the wrong shape",
  excluded: "Frames left out because the user chose so",
  waiting: "Frames that came and are not finished yet",
  duplicates: "Frames that came twice; counted apart from the sum",
};
const BAD: ReadonlySet<string> = new Set(["lost", "dropped", "rejected"]);

/** Every frame is accounted for: expected = done + lost + dropped + rejected + excluded + waiting. */
export function CountsBar({ run }: { run: RunDetail }): ReactElement {
  const { counts, rates, latency_ms: latency } = run;
  const { done, expected } = counts;
  return (
    <section className="counts number" aria-label="Frames" data-testid="counts">
      <ul>{(Object.keys(MEANING) as (keyof Counts)[]).map((name) => <Count key={name} name={name} n={counts[name]} />)}</ul>
      <ul className="rates">
        <Figure label="rate" title="Frames and bytes a second" testid="rate">{rates.frames_per_second.toFixed(rates.frames_per_second < 10 ? 1 : 0)} frames/s <small>{formatBytes(rates.bytes_per_second)}/s</small></Figure>
        <Figure label="latency p50 · p95" title="From the arrival of a frame to the finished view: half of them, and 95 of 100, are faster" testid="latency">
          {latency ? <>{formatLatency(latency.p50)} <small>·</small> {formatLatency(latency.p95)}</> : "–"}
        </Figure>
        <Queue run={run} />
      </ul>
      {expected !== null && expected > 0 && <progress value={done} max={expected} aria-label="Progress of the scan" />}
    </section>
  );
}

function Count({ name, n }: { name: keyof Counts; n: number | null }): ReactElement {
  const alarm = BAD.has(name) && (n ?? 0) > 0;
  const quiet = n === 0 && name !== "done" && name !== "expected";
  return (
    <li className={`figure ${alarm ? "alarm" : ""} ${quiet ? "zero" : ""}`} title={MEANING[name]}>
      <span>{alarm && <Icon name="warning" />}{name}</span>
      <strong data-testid={`count-${name}`} data-count={n ?? ""}>{formatCount(n)}</strong>
    </li>
  );
}

function Figure({ label, title, children, testid }: { label: string; title: string; children: React.ReactNode; testid: string }): ReactElement {
  return <li className="figure" title={title}><span>{label}</span><strong data-testid={testid}>{children}</strong></li>;
}

function Queue({ run: { queue } }: { run: RunDetail }): ReactElement {
  const part = queue.capacity_bytes > 0 ? queue.used_bytes / queue.capacity_bytes : 0;
  const full = part > 0.8;
  const text = `${formatBytes(queue.used_bytes)} of ${formatBytes(queue.capacity_bytes)}`;
  return (
    <li className={`figure queue ${full ? "alarm" : ""}`} title={`Frames that wait in buffers: ${formatCount(queue.frames)}, ${text}`}>
      <span>{full && <Icon name="warning" />}queue {full && "nearly full"}</span>
      <strong data-testid="queue">
        <meter min={0} max={1} high={0.8} value={part} aria-label={`Queue: ${text}`} />{formatCount(queue.frames)} <small>{formatBytes(queue.used_bytes)}</small>
      </strong>
    </li>
  );
}
