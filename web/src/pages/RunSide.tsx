import { type ReactElement, useMemo } from "react";
import type { Setter } from "../api/hooks";
import type { LogLine, RunDetail, StepInfo } from "../api/types";
import { ENDED } from "../api/types";
import { StepForm } from "../forms/StepForm";
import { Chip, ErrorBoundary, Tabs } from "../ui";
import { ContrastPanel } from "../views/ContrastPanel";
import { PlanesPanel } from "../views/PlanesPanel";
import type { Planes } from "../views/planes";
import type { ViewStream } from "../views/stream";
import { DetailsPanel } from "./DetailsPanel";
import { LogPanel, countWarnings } from "./LogPanel";
import type { Look } from "./RunPage";
import { type Displays, groupOf } from "./displays";

interface Props {
  run: RunDetail;
  look: Look;
  displays: Displays;
  planes: Planes;
  parameters: Setter;
  lines: LogLine[];
  stream: ViewStream | null;
}

/** The column beside the images: where the slices lie, how they look, and what the steps do. */
export function RunSide({ run, look, displays, planes, parameters, lines, stream }: Props): ReactElement {
  const { active, names, shown, tab, setTab } = look;
  const warnings = countWarnings(lines);
  const brothers = active !== null && active.axes.length > 1 && shown.filter((v) => groupOf(v) === groupOf(active) && v.axes.length > 1).length > 1;
  const tabs = [
    { id: "parameters", label: "Parameters", content: <Forms run={run} planes={planes} parameters={parameters} /> },
    { id: "log", label: <>Log {warnings > 0 && <Chip tone="warn">{warnings}</Chip>}</>, content: <LogPanel lines={lines} /> },
    { id: "details", label: "Details", content: <DetailsPanel run={run} /> },
  ];
  return (
    <aside className="side" aria-label="Controls">
      <PlanesPanel planes={planes} disabled={ENDED.has(run.state)} refused={parameters.refused} />
      {active && active.axes.length > 1 && (
        <ContrastPanel key={active.name} name={names.get(active.name) ?? active.name} stream={stream} display={displays.of(active)} linked={displays.isLinked(active)}
          onLink={brothers ? (linked) => displays.link(active, linked) : null} />
      )}
      <ErrorBoundary what="This part"><Tabs tabs={tabs} chosen={tab} onChoose={setTab} label="Run" /></ErrorBoundary>
    </aside>
  );
}

function Forms({ run, planes, parameters }: { run: RunDetail; planes: Planes; parameters: Setter }): ReactElement {
  // a new set only when the planes themselves change, not with each of their positions
  const paths = planes.list.map((p) => p.path).join(" ");
  const except = useMemo(() => new Set(paths.split(" ")), [paths]);
  const running = !ENDED.has(run.state);
  const drawn = new Set(run.views.map((view) => view.step));
  const rank = (step: StepInfo): number => (paths.includes(`${step.name}.`) ? 0 : drawn.has(step.name) ? 1 : step.live ? 2 : 3);
  // what draws the pictures comes first: its centre, filter or algorithm is what people reach for
  const steps = [...run.steps].sort((a, b) => rank(a) - rank(b));
  return (
    <div data-testid="parameters">
      {steps.map((step) => <StepForm key={step.name} step={step} results={run.values ?? {}} running={running} except={except} set={parameters.set} />)}
      {steps.length === 0 && <p className="quiet">No steps are known yet.</p>}
      {!running && <p className="quiet">The run has ended; its parameters are as they were at the end.</p>}
    </div>
  );
}
