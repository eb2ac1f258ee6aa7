import type { ReactElement } from "react";
import type { RunDetail } from "../api/types";
import { deskPath, fileOf } from "../desk/kept";
import { Icon } from "../ui";
import { StageList } from "./StageList";
import { follow } from "./route";

/** A run that draws nothing while it goes on: how far it is, and the way to its scan and its result. */
export function NoViews({ run }: { run: RunDetail }): ReactElement {
  const file = fileOf(run.job);
  const desk = deskPath(file, run.id);
  return (
    <div className="no-views" data-testid="no-views">
      {run.stages.length > 0 ? <StageList run={run} /> : <p>This run shows no pictures: its job names none under “views”.</p>}
      {file !== null && <div className="start-buttons"><a className="button" href={desk} onClick={follow(desk)} data-testid="to-desk"><Icon name="file" />Scan, settings and result</a></div>}
    </div>
  );
}
