import { type ReactElement, useEffect, useState } from "react";
import { api, sayError } from "../api/client";
import type { RunDetail } from "../api/types";
import { ENDED } from "../api/types";
import { Banner, Button, Chip, IconButton } from "../ui";
import { formatDuration } from "../units/format";
import { Brand } from "./HomePage";
import { go, runPath } from "./route";
import { STOPPING, errorText, isLingering, isWorking, wordsOfRun } from "./states";
import { useStop } from "./stop";

interface Props {
  run: RunDetail;
  crosshair: boolean;
  onCrosshair: () => void;
  onHelp: () => void;
}

export function RunHeader({ run, crosshair, onCrosshair, onHelp }: Props): ReactElement {
  const ended = ENDED.has(run.state);
  const { stopping, ...stop } = useStop(run.id);
  const words = stopping && !ended ? STOPPING : wordsOfRun(run);
  const [refused, setRefused] = useState<string | null>(null);
  const [starting, setStarting] = useState(false);
  const again = async (): Promise<void> => {
    setStarting(true);
    setRefused(null);
    await api.start(run.job).then((started) => go(runPath(started.id)), (error: unknown) => setRefused(sayError(error)));
    setStarting(false);
  };
  const trouble = ended ? refused : stop.trouble;
  return (
    <>
      <header className="top">
        <Brand />
        <h1 title={run.id}>{run.name || run.id}</h1>
        <Chip tone={words.tone} title={words.meaning} testid="state">{words.label}</Chip>
        <Clock run={run} />
        <span className="spacer" />
        <IconButton icon="cross" label="Crosshair (c)" pressed={crosshair} onClick={onCrosshair} />
        <IconButton icon="help" label="Keys and gestures (?)" onClick={onHelp} data-testid="help" />
        {ended
          ? <Button icon="again" disabled={starting} onClick={() => void again()} data-testid="start-again">Start again</Button>
          : <StopButton run={run} stopping={stopping} onStop={() => void stop.stop()} />}
      </header>
      {trouble && <Banner tone="bad" title="That did not work.">{trouble}</Banner>}
      <StateBanner run={run} />
    </>
  );
}

/** It can be pressed to the very end: what is left to be computed after the last frame may take longer than the scan. */
function StopButton({ run, stopping, onStop }: { run: RunDetail; stopping: boolean; onStop: () => void }): ReactElement {
  const label = stopping ? "Stopping…" : isLingering(run) ? "End" : "Stop";
  return <Button tone="danger" icon="stop" disabled={stopping} onClick={onStop} data-testid="stop">{label}</Button>;
}

function Clock({ run }: { run: RunDetail }): ReactElement {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, []);
  const { counts, rates, started, ended } = run;
  const left = counts.expected !== null && rates.frames_per_second > 0 ? (counts.expected - counts.done) / rates.frames_per_second : null;
  const known = ended === null && left !== null && left > 1 && run.state === "running";
  return <span className="clock number">{formatDuration((ended ?? now) - started)}{known && ` · about ${formatDuration(left)} left`}</span>;
}

/** States that somebody must know of get a line of their own. */
function StateBanner({ run }: { run: RunDetail }): ReactElement | null {
  const said = errorText(run.error);
  const kept = run.result ? ` What had come is in ${run.result}.` : "";
  if (run.state === "crashed") {
    return <Banner tone="bad" title="The run crashed." testid="state-banner">{`${said || "Its process ended without a word."}${kept} See the log for its last words; Start again repeats the same job.`}</Banner>;
  }
  if (run.state === "failed") return <Banner tone="bad" title="The run failed." testid="state-banner">{`${said || "See the log."}${kept}`}</Banner>;
  if (run.state === "stopped") return <Banner tone="warn" title="The run was stopped." testid="state-banner">{`${said}${kept}`}</Banner>;
  if (isLingering(run)) return <Banner tone="good" title="The scan is complete." testid="state-banner">It stays open to be looked into: click on a point, drag the detector. End closes it.</Banner>;
  if (isWorking(run)) return <Banner tone="busy" title="All frames have come; the rest is being computed and written." testid="state-banner" />;
  if (run.state === "draining") return <Banner tone="busy" title="Finishing: no more frames come, the last ones are being worked on." testid="state-banner" />;
  if (run.state === "done" && run.result) return <Banner tone="good" title="Done." testid="state-banner">{`Written to ${run.result}`}</Banner>;
  return said ? <Banner tone="warn" title="Note:">{said}</Banner> : null;
}
