import { type KeyboardEvent, type MouseEvent, type ReactElement, useState } from "react";
import { formatAny } from "../units/format";
import { IconButton } from "../ui";
import { type FieldSpec, checkText, nudgeStep, nudged } from "./schema";
import type { InputProps } from "./StepField";

/** The number as it is typed; what the service holds shows as soon as nobody is typing. */
function useDraft(field: FieldSpec, { value, onSet, onMistake }: InputProps): { text: string; type: (text: string) => void; commit: () => void; drop: () => void } {
  const [draft, setDraft] = useState<string | null>(null);
  const commit = (): void => {
    if (draft === null) return;
    const checked = checkText(field, draft);
    if ("mistake" in checked) return onMistake(checked.mistake);
    setDraft(null);
    if (JSON.stringify(checked.value) !== JSON.stringify(value)) onSet(checked.value);
    else onMistake(null);
  };
  const drop = (): void => {
    setDraft(null);
    onMistake(null);
  };
  const shown = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return { text: draft ?? shown, type: setDraft, commit, drop };
}

const onKeys = (commit: () => void, drop: () => void) => (event: KeyboardEvent): void => {
  if (event.key === "Enter") commit();
  if (event.key === "Escape") drop();
};

export function TextField(props: InputProps): ReactElement {
  const { field, disabled, invalid, ids } = props;
  const { text, type, commit, drop } = useDraft(field, props);
  return (
    <input className="input" {...ids} value={text} disabled={disabled} aria-invalid={invalid} spellCheck={false} placeholder={field.optional ? "automatic" : ""}
      onChange={(e) => type(e.target.value)} onBlur={commit} onKeyDown={onKeys(commit, drop)} />
  );
}

/** A number with buttons that nudge it: value ± step, with shift a fifth of the step. Arrow keys do the same. */
export function NumberField(props: InputProps): ReactElement {
  const { field, value, disabled, invalid, ids, onSet, onMistake } = props;
  const { text, type, commit, drop } = useDraft(field, props);
  const from = typeof value === "number" ? value : null;
  const step = nudgeStep(field, from ?? 0);
  const nudge = (n: number, fine: boolean): void => {
    if (from === null) return onMistake("Type a first value; then it can be nudged.");
    drop();
    onSet(nudged(field, from, fine && field.kind === "number" ? step / 5 : step, n));
  };
  const keys = (event: KeyboardEvent): void => {
    const n = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (n === undefined) return onKeys(commit, drop)(event);
    event.preventDefault();
    nudge(n, event.shiftKey);
  };
  const hint = `${formatAny(step)}${field.unit ? ` ${field.unit}` : ""}, shift: ${formatAny(field.kind === "number" ? step / 5 : step)}`;
  const press = (n: number) => (event: MouseEvent): void => nudge(n, event.shiftKey);
  return (
    <div className="nudge">
      <IconButton icon="minus" label={`Lower ${field.title} by ${hint}`} disabled={disabled} onClick={press(-1)} data-testid={`${ids["data-testid"]}-lower`} />
      <input className="input number" {...ids} inputMode="decimal" value={text} disabled={disabled} aria-invalid={invalid}
        placeholder={field.optional ? "automatic" : ""} onChange={(e) => type(e.target.value)} onBlur={commit} onKeyDown={keys} />
      <IconButton icon="plus" label={`Raise ${field.title} by ${hint}`} disabled={disabled} onClick={press(1)} data-testid={`${ids["data-testid"]}-raise`} />
    </div>
  );
}
