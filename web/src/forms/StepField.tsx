import { type ReactElement, useId, useState } from "react";
import { ApiError, sayError } from "../api/client";
import type { Json } from "../api/types";
import { formatAny, formatBytes } from "../units/format";
import { Button, Icon } from "../ui";
import { NumberField, TextField } from "./NumberField";
import { type FieldSpec, humanName, rangeText, unitName, withoutTicks } from "./schema";

export interface InputProps {
  field: FieldSpec;
  value: Json;
  disabled: boolean;
  invalid: boolean;
  ids: { id: string; "aria-describedby": string; "data-testid": string };
  onSet: (value: Json) => void;
  onMistake: (mistake: string | null) => void;
}

function ChoiceField({ field, value, disabled, ids, onSet }: InputProps): ReactElement {
  const choices = field.optional && !field.choices.includes(null) ? [null, ...field.choices] : field.choices;
  const at = choices.findIndex((c) => JSON.stringify(c) === JSON.stringify(value));
  return (
    <select className="select" {...ids} value={at} disabled={disabled} onChange={(e) => onSet(choices[Number(e.target.value)] ?? null)}>
      {at < 0 && <option value={-1}>{formatAny(value)}</option>}
      {choices.map((choice, i) => <option key={i} value={i}>{choice === null ? "automatic" : String(choice)}</option>)}
    </select>
  );
}

function BooleanField({ value, disabled, ids, onSet }: InputProps): ReactElement {
  return <input type="checkbox" className="check" role="switch" {...ids} checked={value === true} disabled={disabled} onChange={(e) => onSet(e.target.checked)} />;
}

const INPUTS = { number: NumberField, integer: NumberField, boolean: BooleanField, choice: ChoiceField, text: TextField, json: TextField };

interface Props {
  step: string;
  field: FieldSpec;
  value: Json;
  /** `step.output` that gives the value, while nobody has taken it over. */
  heldFrom: string | null;
  heldValue: Json;
  disabled: boolean;
  /** What the step found by itself, where the value is `auto`. */
  found?: Json;
  /** Answers from which frame on the value holds, if there are frames. */
  set: (value: Json) => Promise<{ id: number } | null>;
}

/** One parameter: its input, its unit, what it means, and beside it what the service said about the last change. */
export function StepField({ step, field, value, heldFrom, heldValue, disabled, found = null, set }: Props): ReactElement {
  const id = useId();
  const [mistake, setMistake] = useState<string | null>(null);
  const [note, setNote] = useState<string | null>(null);
  const send = async (next: Json): Promise<void> => {
    setMistake(null);
    try {
      const from = await set(next);
      setNote(from && `holds from frame ${from.id}`);
    } catch (error) {
      setNote(null);
      setMistake(error instanceof ApiError ? sayError(error) : String(error));
    }
  };
  const ids = { id, "aria-describedby": `${id}-help`, "data-testid": `param-${step}-${field.name}` };
  const help = [withoutTicks(field.help), rangeText(field)].filter(Boolean).join(" · ");
  const Input = INPUTS[field.kind];
  const input = { field, value, disabled, invalid: mistake !== null, ids, onSet: (v: Json) => void send(v), onMistake: setMistake };
  return (
    <div className={`field ${field.kind}`}>
      <label htmlFor={id} title={help}>{field.title}{field.unit && <span className="unit">{unitName(field.unit)}</span>}</label>
      {heldFrom === null ? <Input {...input} /> : <Held from={heldFrom} value={heldValue} disabled={disabled} ids={ids} takeOver={() => void send(heldValue ?? field.fallback)} />}
      {found !== null && <Found name={`${step}-${field.name}`} found={found} disabled={disabled} lock={() => void send(found)} />}
      {mistake && <p className="mistake" role="alert" data-testid={`mistake-${step}-${field.name}`}><Icon name="warning" />{mistake}</p>}
      <p className="help" id={`${id}-help`} title={help}>{[note, field.unit === "B" && typeof value === "number" && formatBytes(value), help].filter(Boolean).join(" · ")}</p>
    </div>
  );
}

function Found({ name, found, disabled, lock }: { name: string; found: Json; disabled: boolean; lock: () => void }): ReactElement {
  return (
    <div className="held found" data-testid={`found-${name}`}>
      <span className="held-value">found: <strong>{formatAny(found)}</strong></span>
      <Button className="small" disabled={disabled} onClick={lock} title="Keep what was found: it is not looked for again">Lock</Button>
    </div>
  );
}

function Held({ from, value, disabled, ids, takeOver }: { from: string; value: Json; disabled: boolean; ids: InputProps["ids"]; takeOver: () => void }): ReactElement {
  return (
    <div className="held" {...ids}>
      <span className="held-value number" title={`The step ${humanName(from.split(".")[0] ?? "")} gives this value`}>
        <strong>{value === undefined || value === null ? "unknown yet" : formatAny(value)}</strong>
      </span>
      <Button className="small" disabled={disabled || typeof value !== "number"} onClick={takeOver} title="Stop following that step and set the value by hand">Take over</Button>
      <span className="held-from"><Icon name="link" />from {humanName(from.split(".")[0] ?? "")}</span>
    </div>
  );
}
