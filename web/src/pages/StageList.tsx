import type { ReactElement } from "react";
import type { RunDetail } from "../api/types";
import { ENDED } from "../api/types";
import { humanName } from "../forms/schema";
import { formatCount, formatDuration } from "../units/format";

/** "sink fbp.data" writes what fbp gives. */
export const stageName = (name: string): string => {
  const sink = /^sink ([^.]+)/.exec(name)?.[1];
  return sink === undefined ? humanName(name) : `writing of ${humanName(sink)}`;
};

/** "computing find_center (digest)" */
const boundText = (bound: string): string => humanName(bound.replace(/ \([a-z]+\)$/, ""));

/** How far each stage of a run over a recorded scan is, and what it waits for. */
export function StageList({ run }: { run: Pick<RunDetail, "state" | "stages" | "bound"> }): ReactElement {
  return (
    <ul className="stages number">
      {run.stages.map((stage) => (
        <li key={stage.name}><span>{stageName(stage.name)}</span>
          <progress {...(stage.expected === null ? {} : { value: stage.done, max: Math.max(1, stage.expected) })} aria-label={`Progress: ${stageName(stage.name)}`} />
          <small>{formatCount(stage.done)}{stage.expected !== null && ` of ${formatCount(stage.expected)}`}{stage.left ? `, ${formatDuration(stage.left)} left` : ""}</small></li>
      ))}
      {!ENDED.has(run.state) && run.bound && <li className="bound">Bound by {boundText(run.bound)}</li>}
    </ul>
  );
}
