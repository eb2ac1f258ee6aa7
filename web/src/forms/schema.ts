/** From the JSON schema of a step to the fields of its form. */
import type { Json, Schema } from "../api/types";

export type Kind = "number" | "integer" | "boolean" | "choice" | "text" | "json";

export interface FieldSpec {
  name: string;
  title: string;
  help: string;
  unit: string | null;
  kind: Kind;
  /** An empty field means null. */
  optional: boolean;
  minimum: number | null;
  maximum: number | null;
  /** The ends themselves are not allowed. */
  openMinimum: boolean;
  openMaximum: boolean;
  choices: Json[];
  fallback: Json;
}

/** What a step found where a parameter is `auto`: its result of the same name, which counts the choices. */
export function foundChoice(field: FieldSpec, value: Json, result: Json | undefined): Json {
  if (value !== "auto" || typeof result !== "number" || !Number.isInteger(result)) return null;
  return field.choices.filter((choice) => choice !== "auto")[result] ?? null;
}

/** The fields of an object schema, in its order. */
export function readFields(schema: Schema): FieldSpec[] {
  return Object.entries(schema.properties ?? {}).map(([name, property]) => readField(name, property, schema.$defs ?? {}));
}

function readField(name: string, property: Schema, defs: Record<string, Schema>): FieldSpec {
  const { schema, optional } = resolve(property, defs);
  const choices = schema.enum ?? (schema.const !== undefined ? [schema.const] : []);
  return {
    name,
    title: humanName(name),
    help: property.description ?? schema.description ?? "",
    unit: property.unit ?? schema.unit ?? null,
    kind: kindOf(schema, choices),
    optional,
    ...limitsOf(schema),
    choices,
    fallback: property.default ?? null,
  };
}

function limitsOf(schema: Schema): Pick<FieldSpec, "minimum" | "maximum" | "openMinimum" | "openMaximum"> {
  const low = schema.minimum ?? schema.ge ?? null;
  const high = schema.maximum ?? schema.le ?? null;
  return {
    minimum: low ?? schema.exclusiveMinimum ?? schema.gt ?? null,
    maximum: high ?? schema.exclusiveMaximum ?? schema.lt ?? null,
    openMinimum: low === null && (schema.exclusiveMinimum ?? schema.gt) !== undefined,
    openMaximum: high === null && (schema.exclusiveMaximum ?? schema.lt) !== undefined,
  };
}

/** Follow $ref, and choose among anyOf/oneOf: null makes it optional, numbers beat the text that YAML may give instead. */
function resolve(property: Schema, defs: Record<string, Schema>, depth = 0): { schema: Schema; optional: boolean } {
  if (depth > 8) return { schema: property, optional: false };
  if (property.$ref) {
    const target = defs[property.$ref.split("/").at(-1) ?? ""] ?? {};
    return resolve({ ...target, ...property, $ref: undefined } as Schema, defs, depth + 1);
  }
  if (property.allOf?.length === 1) return resolve({ ...property.allOf[0], ...property, allOf: undefined } as Schema, defs, depth + 1);
  if (Array.isArray(property.type)) {
    const rest = property.type.filter((t) => t !== "null");
    return { schema: { ...property, type: rest[0] ?? "string" }, optional: rest.length < property.type.length };
  }
  const options = property.anyOf ?? property.oneOf;
  if (!options) return { schema: property, optional: property.type === "null" };
  const resolved = options.filter((o) => o.type !== "null").map((o) => resolve(o, defs, depth + 1));
  const optional = resolved.length < options.length || resolved.some((r) => r.optional);
  const best = ["number", "integer", "boolean"].map((t) => resolved.find((r) => r.schema.type === t)).find((r) => r)
    ?? mergeChoices(resolved.map((r) => r.schema)) ?? resolved[0];
  return { schema: { ...best?.schema, ...withoutOptions(property) }, optional };
}

function mergeChoices(options: Schema[]): { schema: Schema } | null {
  const lists = options.map((o) => o.enum ?? (o.const !== undefined ? [o.const] : null));
  return lists.length > 0 && lists.every((l) => l !== null) ? { schema: { enum: lists.flat() } } : null;
}

function withoutOptions(property: Schema): Schema {
  const rest = { ...property };
  delete rest.anyOf;
  delete rest.oneOf;
  return rest;
}

function kindOf(schema: Schema, choices: Json[]): Kind {
  if (choices.length > 0) return "choice";
  if (schema.type === "number" || schema.type === "integer" || schema.type === "boolean") return schema.type;
  return schema.type === "string" ? "text" : "json";
}

/** "delta_beta" to "delta beta": the name that job files use stays recognisable. */
export const humanName = (name: string): string => name.replace(/_/g, " ");

/** Help is written for the reference, where names stand between backticks. */
export const withoutTicks = (text: string): string => text.replace(/`{1,2}([^`]+)`{1,2}/g, "$1");

/** "um" as people write it. */
export const unitName = (unit: string): string => unit.replace(/^[uμ](?=(m|s|A|rad|g)$)/, "µ").replace(/^deg$/, "°");

/** "1 … 101", "> 0", "≤ 5" or "". */
export function rangeText(field: FieldSpec): string {
  const { minimum, maximum, openMinimum, openMaximum } = field;
  if (minimum !== null && maximum !== null && !openMinimum && !openMaximum) return `${minimum} … ${maximum}`;
  const low = minimum === null ? "" : `${openMinimum ? ">" : "≥"} ${minimum}`;
  const high = maximum === null ? "" : `${openMaximum ? "<" : "≤"} ${maximum}`;
  return [low, high].filter(Boolean).join(", ");
}

export type Checked = { value: Json } | { mistake: string };

/** What was typed, as a value to send, or one sentence that says what was expected. */
export function checkText(field: FieldSpec, text: string): Checked {
  const trimmed = text.trim();
  if (trimmed === "") return field.optional ? { value: null } : { mistake: `${field.title} cannot be empty.` };
  if (field.kind === "number" || field.kind === "integer") return checkNumber(field, trimmed);
  if (field.kind !== "json") return { value: trimmed };
  try {
    return { value: JSON.parse(trimmed) as Json };
  } catch {
    return { value: trimmed };
  }
}

function checkNumber(field: FieldSpec, text: string): Checked {
  const value = Number(text.replace(",", ".").replace("\u2212", "-"));
  // "25 keV": values with units are read by the service, which knows the dimension
  if (Number.isNaN(value)) {
    const withUnit = /^[-+]?[\d.]+(e[-+]?\d+)?\s*[a-zµ°Å%/]+$/i.test(text);
    return withUnit && field.unit ? { value: text } : { mistake: `"${text}" is not a number.` };
  }
  if (field.kind === "integer" && !Number.isInteger(value)) return { mistake: `${value} is not a whole number.` };
  const { minimum, maximum, openMinimum, openMaximum } = field;
  const low = minimum !== null && (openMinimum ? value <= minimum : value < minimum);
  const high = maximum !== null && (openMaximum ? value >= maximum : value > maximum);
  return low || high ? { mistake: `${value} is outside: ${rangeText(field)}${field.unit ? ` ${field.unit}` : ""}.` } : { value };
}

/** How far one press of the nudge buttons goes; with shift a fifth of it (centre: 0.5 px, then 0.1 px). */
export function nudgeStep(field: FieldSpec, value: number): number {
  if (field.kind === "integer") return 1;
  if (/cent(er|re)|offset|shift|axis/.test(field.name) || field.unit === "px" || field.unit === "pixel") return 0.5;
  const size = Math.abs(value) || Math.abs(Number(field.fallback)) || 1;
  return 10 ** Math.floor(Math.log10(size)) / 2;
}

/** `value` moved by `step` n times, free of 0.1 + 0.2, and inside the limits. */
export function nudged(field: FieldSpec, value: number, step: number, n: number): number {
  const moved = Number((value + n * step).toPrecision(12));
  const low = field.minimum ?? -Infinity;
  const high = field.maximum ?? Infinity;
  return Math.min(high, Math.max(low, moved));
}
