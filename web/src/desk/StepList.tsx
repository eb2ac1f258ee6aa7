import { type ReactElement, useMemo, useState } from "react";
import { StepField } from "../forms/StepField";
import { humanName, readFields, withoutTicks } from "../forms/schema";
import type { Mistake } from "../api/client";
import type { Job, Json, Plugin } from "../api/types";
import { Button, IconButton, Panel } from "../ui";
import { type StepValues, addReconstruction, insertAfter, isReconstruction, lastCorrection, move, nameOf, remove, setValue, sourceOfValue, stepsOf } from "./edit";
import { resultOf } from "./useDesk";

interface Props {
  job: Job;
  onJob: (job: Job) => void;
  /** What the file suggests by itself. */
  suggested: Job | null;
  operators: Map<string, Plugin>;
  /** Why no steps are known. */
  mistake: Mistake | null;
  /** What steps found in the slice that is shown. */
  values: Record<string, Json>;
  shown: string | null;
  onShow: (step: string) => void;
}

/** The steps of the job as forms made from their schemas: change, move, remove, add, or look at what one gives. */
export function StepList(props: Props): ReactElement {
  const steps = stepsOf(props.job);
  const [open, setOpen] = useState<string | null>(null);
  const { suggested, onJob } = props;
  const changed = suggested !== null && JSON.stringify([props.job["steps"], props.job["only"]]) !== JSON.stringify([suggested["steps"], suggested["only"]]);
  const startOver = changed && <button type="button" className="link" title="Put all steps and settings back to what the file suggests" onClick={() => onJob(suggested)} data-testid="start-over">Start over</button>;
  return (
    <Panel title="Steps" testid="steps" aside={startOver}>
      <ol className="steps">
        {steps.map((step, i) => (
          <StepCard key={nameOf(step)} {...props} step={step} first={i === 0} last={i === steps.length - 1} open={open === nameOf(step)} onOpen={(on) => setOpen(on ? nameOf(step) : null)} />
        ))}
      </ol>
      <AddStep {...props} after={open ?? lastCorrection(props.job)} />
      {props.mistake && <p className="mistake" role="alert">{props.mistake.message}</p>}
    </Panel>
  );
}

interface CardProps extends Props { step: StepValues; first: boolean; last: boolean; open: boolean; onOpen: (on: boolean) => void }

function StepCard({ job, onJob, operators, values, shown, onShow, step, first, last, open, onOpen }: CardProps): ReactElement {
  const name = nameOf(step);
  const plugin = operators.get(step.use);
  const fields = useMemo(() => (plugin ? readFields(plugin.schema) : []), [plugin]);
  return (
    <li className={`step-card ${shown === name ? "shown" : ""}`} data-testid={`step-${name}`}>
      <header>
        <button type="button" className="step-name" aria-expanded={open} onClick={() => onOpen(!open)} title={`${name}: ${plugin?.summary ?? ""}`} data-testid={`open-${name}`}>
          {humanName(name)}{step.use !== name && <span className="unit">{humanName(step.use)}</span>}
        </button>
        <IconButton icon="eye" label={`Show what ${humanName(name)} gives`} pressed={shown === name} onClick={() => onShow(name)} data-testid={`show-${name}`} />
        <IconButton icon="up" label={`Move ${humanName(name)} up`} disabled={first} onClick={() => onJob(move(job, name, -1))} />
        <IconButton icon="down" label={`Move ${humanName(name)} down`} disabled={last} onClick={() => onJob(move(job, name, 1))} />
        <IconButton icon="close" label={`Remove ${humanName(name)}`} onClick={() => onJob(remove(job, name))} data-testid={`remove-${name}`} />
      </header>
      {open && (
        <div className="step-fields">
          {plugin && <p className="help">{withoutTicks(plugin.summary)}</p>}
          {fields.map((field) => {
            const given = step[field.name];
            const from = sourceOfValue(given ?? null);
            return (
              <StepField key={field.name} step={name} field={field} value={given === undefined ? field.fallback : given} heldFrom={from} heldValue={resultOf(values, from)} disabled={false}
                set={async (value) => { onJob(setValue(job, name, field.name, value)); return null; }} />
            );
          })}
          {fields.length === 0 && <p className="quiet">{plugin ? "It has nothing to set." : "Loading…"}</p>}
        </div>
      )}
    </li>
  );
}

function AddStep({ job, onJob, operators, onShow, after }: Props & { after: string | null }): ReactElement {
  const [chosen, setChosen] = useState("");
  const names = useMemo(() => [...operators.values()].filter((o) => !o.missing && o.name !== "call").map((o) => o.name).sort(), [operators]);
  const add = (): void => {
    if (!operators.has(chosen)) return;
    const makesSlices = isReconstruction(operators.get(chosen)?.signature ?? "");
    const next = makesSlices ? addReconstruction(job, chosen) : insertAfter(job, after, { use: chosen });
    onJob(next);
    // a new reconstruction is what people want to see
    if (makesSlices) onShow(nameOf(stepsOf(next).at(-1) ?? { use: chosen }));
    setChosen("");
  };
  const place = after === null ? "first" : `after ${humanName(after)}`;
  return (
    <div className="add-step">
      <select className="select" aria-label={`Step to add, ${place}`} title={`It is put ${place}`} value={chosen} onChange={(e) => setChosen(e.target.value)} data-testid="add-which">
        <option value="">{names.length === 0 ? "Loading the list of steps…" : `Add ${place}…`}</option>
        {names.map((name) => <option key={name} value={name} title={operators.get(name)?.summary}>{humanName(name)}</option>)}
      </select>
      <Button className="small" icon="plus" disabled={chosen === ""} onClick={add} data-testid="add-step">Add</Button>
    </div>
  );
}
