import { type ReactElement, useMemo } from "react";
import type { Json, StepInfo } from "../api/types";
import { StepField } from "./StepField";
import { type FieldSpec, foundChoice, humanName, readFields } from "./schema";

interface Props {
  step: StepInfo;
  /** Newest results by `step.output`, for parameters that another step gives. */
  results: Record<string, Json>;
  running: boolean;
  /** Parameters that have their own control elsewhere on the page. */
  except: ReadonlySet<string>;
  set: (changes: Record<string, Record<string, Json>>) => Promise<{ id: number }>;
}

/** The form of one step, made from the schema of its parameters. */
export function StepForm({ step, results, running, except, set }: Props): ReactElement | null {
  const named = useMemo(() => readFields(step.schema).filter((f) => !except.has(`${step.name}.${f.name}`)), [step.schema, step.name, except]);
  // what the step found by itself comes first: it is what people check, and lock
  const isFound = (field: FieldSpec): boolean => foundChoice(field, step.values[field.name] ?? null, results[`${step.name}.${field.name}`]) !== null;
  const fields = [...named.filter(isFound), ...named.filter((f) => !isFound(f))];
  if (fields.length === 0) return null;
  const locked = !step.live || !running;
  return (
    <fieldset className="step" data-testid={`step-${step.name}`}>
      <legend title={step.name}>{humanName(step.name)}{step.use !== step.name && <span className="unit">{humanName(step.use)}</span>}
        {!step.live && <span className="unit">fixed while it runs</span>}</legend>
      {fields.map((field) => {
        const heldFrom = step.held[field.name] ?? null;
        const value = step.values[field.name] ?? null;
        return (
          <StepField key={field.name} step={step.name} field={field} value={value} heldFrom={heldFrom} disabled={locked}
            found={foundChoice(field, value, results[`${step.name}.${field.name}`])}
            heldValue={heldFrom === null ? null : findResult(results, heldFrom)} set={(v) => set({ [step.name]: { [field.name]: v } })} />
        );
      })}
    </fieldset>
  );
}

/** `{from: find_center}` means the step's first output. */
export function findResult(results: Record<string, Json>, from: string): Json {
  if (from in results) return results[from] ?? null;
  const key = Object.keys(results).find((k) => k.startsWith(`${from}.`));
  return key === undefined ? null : (results[key] ?? null);
}
