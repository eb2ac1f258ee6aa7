/** Changes to the steps of a job. Each gives a new job; what other steps take from a step follows it. */
import { fieldsOf } from "../api/json";
import type { Job, Json } from "../api/types";

export type StepValues = { use: string; name?: string; inputs?: Json; [parameter: string]: Json | undefined };

/** An object without some of its keys. */
export const without = <T extends object>(given: T, ...keys: string[]): T => Object.fromEntries(Object.entries(given).filter(([key]) => !keys.includes(key))) as T;

export const nameOf = (step: StepValues): string => step.name ?? step.use;

/** The steps of a job; a job of another form has none. */
export function stepsOf(job: Job): StepValues[] {
  const steps = job["steps"];
  return Array.isArray(steps) ? (steps as unknown as StepValues[]).filter((s) => typeof s === "object" && s !== null && typeof s.use === "string") : [];
}

export const withSteps = (job: Job, steps: StepValues[]): Job => ({ ...job, steps: steps as unknown as Json });

export function setValue(job: Job, name: string, parameter: string, value: Json): Job {
  return withSteps(job, stepsOf(job).map((step) => (nameOf(step) === name ? { ...step, [parameter]: value } : step)));
}

/** What a step reads first: named under `inputs`, else the step before, else the source. */
export function feedOf(steps: StepValues[], at: number): string {
  const inputs = steps[at]?.inputs;
  const first = typeof inputs === "string" ? inputs : Array.isArray(inputs) ? inputs[0] : typeof inputs === "object" && inputs !== null ? inputs["frames"] : null;
  if (typeof first === "string") return first;
  const before = steps[at - 1];
  return before ? nameOf(before) : "source.data";
}

/** Steps that read the first output of `old` read `next`. */
function rewired(step: StepValues, old: string, next: string): StepValues {
  const swap = (text: Json): Json => (text === old ? next : text);
  const { inputs } = step;
  if (Array.isArray(inputs)) return { ...step, inputs: inputs.map(swap) };
  if (typeof inputs === "string") return { ...step, inputs: swap(inputs) };
  if (typeof inputs === "object" && inputs !== null) return { ...step, inputs: Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, swap(v)])) };
  return step;
}

/** Put a step behind another (null: in front of all); those that read the other read the new one. */
export function insertAfter(job: Job, after: string | null, step: StepValues): Job {
  const steps = stepsOf(job);
  const place = after === null ? 0 : steps.findIndex((s) => nameOf(s) === after) + 1;
  const named = { ...step, ...uniqueName(steps, nameOf(step), step.use) };
  const rest = steps.slice(place).map((s) => rewired(s, after ?? "source.data", nameOf(named)));
  return withSteps(job, [...steps.slice(0, place), named, ...rest]);
}

function uniqueName(steps: StepValues[], wanted: string, use: string): { name?: string } {
  const taken = new Set(steps.map(nameOf));
  let name = wanted;
  for (let n = 2; taken.has(name); n++) name = `${wanted}_${n}`;
  return name === use ? {} : { name };
}

const sinksOf = (job: Job): Record<string, Json>[] => (Array.isArray(job["sinks"]) ? job["sinks"].map(fieldsOf) : []);
/** Where the result goes; this page writes one. */
export const firstSink = (job: Job): Record<string, Json> => sinksOf(job)[0] ?? {};
const stepOf = (of: Json | undefined): string => (typeof of === "string" ? (of.split(".")[0] ?? "") : "");

/** The step whose result is written, if the job has it. */
export function sinkStep(job: Job): string | null {
  const step = stepOf(firstSink(job)["of"]);
  return hasStep(job, step) ? step : null;
}

/** Where a result was written of a step that is gone, that of another reconstruction is written. */
function withSinks(job: Job): Job {
  const another = stepsOf(job).filter((s) => "center" in s).map(nameOf).at(-1);
  if (another === undefined || sinksOf(job).every((sink) => hasStep(job, stepOf(sink["of"])))) return job;
  return { ...job, sinks: sinksOf(job).map((sink) => (hasStep(job, stepOf(sink["of"])) ? sink : { ...sink, of: another })) };
}

/** True for what makes slices of sinograms, by its signature such as "angle col -> z=row y x". */
export const isReconstruction = (signature: string): boolean => /^[^>]*\bangle\b.*->.*\by x\b/.test(signature);

/** Another reconstruction, beside those that are there: of the same data, about the same axis. */
export function addReconstruction(job: Job, use: string): Job {
  const steps = stepsOf(job);
  const other = steps.find((s) => "center" in s);
  const finder = steps.find((s) => s.use.startsWith("find_center"));
  const correction = lastCorrection(job);
  const center = other?.["center"] ?? (finder ? { from: nameOf(finder) } : null);
  const inputs = other?.inputs ?? [other ? feedOf(steps, steps.indexOf(other)) : (correction ?? "source.data")];
  const added = { use, ...uniqueName(steps, use, use), inputs, center };
  return withSinks(withSteps(job, [...steps, added]));
}

/** Take a step out; those that read it read what it read, and parameters that it gave get their default. */
export function remove(job: Job, name: string): Job {
  const steps = stepsOf(job);
  const at = steps.findIndex((s) => nameOf(s) === name);
  if (at < 0) return job;
  const feed = feedOf(steps, at);
  const rest = steps.filter((_, i) => i !== at).map((step) => {
    const kept = Object.entries(rewired(step, name, feed)).filter(([, value]) => sourceOfValue(value ?? null)?.split(".")[0] !== name);
    return Object.fromEntries(kept) as StepValues;
  });
  return withSinks(withSteps(job, rest));
}

/** Move a step one place; only what reads steps by their place changes. */
export function move(job: Job, name: string, by: 1 | -1): Job {
  const steps = stepsOf(job);
  const at = steps.findIndex((s) => nameOf(s) === name);
  const other = steps[at + by];
  const step = steps[at];
  if (!step || !other) return job;
  const { inputs, ...bare } = step;
  // a step that names what it reads keeps that, as long as it does not read the step that it passes
  if (inputs !== undefined && feedOf(steps, at) !== nameOf(other)) {
    const swapped = [...steps];
    [swapped[at], swapped[at + by]] = [other, step];
    return withSteps(job, swapped);
  }
  const without = remove(job, name);
  const left = stepsOf(without);
  const before = left[at + by - 1];
  return insertAfter(without, before ? nameOf(before) : null, bare as StepValues);
}

/** `step.output` that a value comes from. */
export function sourceOfValue(value: Json): string | null {
  const { from } = fieldsOf(value);
  return typeof from === "string" ? from : null;
}

/** The first step with a centre of rotation, and its value: a number, or null while another step finds it. */
export function centerOf(job: Job): { step: string; center: number | null; from: string | null } | null {
  const step = stepsOf(job).find((s) => "center" in s);
  if (!step) return null;
  const value = step["center"] ?? null;
  return { step: nameOf(step), center: typeof value === "number" ? value : null, from: sourceOfValue(value) };
}

/** Every step with a centre gets the same. */
export function setCenter(job: Job, center: Json): Job {
  return withSteps(job, stepsOf(job).map((s) => ("center" in s ? { ...s, center } : s)));
}

/** How many columns of the detector become one before the slices are reconstructed. */
export function binOf(job: Job): number {
  return stepsOf(job).reduce((all, step) => (step.use === "bin" ? all * Number(step["columns"] ?? 2) : all), 1);
}

/** n × n pixels become one; a centre that was set by hand stays where it is in the sample. */
export function setBin(job: Job, n: number): Job {
  const [bin] = stepsOf(job).filter((s) => s.use === "bin");
  const before = binOf(job);
  const binned = n === 1 ? (bin ? remove(job, nameOf(bin)) : job)
    : bin ? setValue(setValue(job, nameOf(bin), "rows", n), nameOf(bin), "columns", n)
    : insertAfter(job, lastCorrection(job), { use: "bin", rows: n, columns: n });
  const center = centerOf(job)?.center ?? null;
  // the middle of pixel 0 lies at 0, its edge at −0.5
  return center === null ? binned : setCenter(binned, Number((((center + 0.5) * before) / binOf(binned) - 0.5).toFixed(3)));
}

/** What is wrong with "from, to, step" along an axis of `size` positions; null if nothing is. */
export function rangeMistake([from, to, step]: readonly string[], size: number | null): string | null {
  const [low, high, each] = [Number(from || 0), to ? Number(to) : (size ?? Infinity), Number(step || 1)];
  if (each < 1) return "The step must be 1 or more.";
  if (size !== null && high > size) return `There are ${size}: “to” can be ${size} at most.`;
  if (low >= high) return Number.isFinite(high) ? `From ${low} to ${high} is nothing: “to” itself is not included.` : null;
  return null;
}

export const FINITE = { use: "calculate", name: "only_finite", expression: "where(isfinite(v), v, 0)" } as const;
const FLAT = { use: "median", name: "median_flat", inputs: ["source.flat"] };
const DARK = { use: "median", name: "median_dark", inputs: ["source.dark"] };

export const hasStep = (job: Job, name: string): boolean => stepsOf(job).some((s) => nameOf(s) === name);

/** The last step before the centre is found or the slices are reconstructed. */
export function lastCorrection(job: Job): string | null {
  const steps = stepsOf(job);
  const end = steps.findIndex((s) => "center" in s || s.use.startsWith("find_center"));
  const last = steps[(end < 0 ? steps.length : end) - 1];
  return last ? nameOf(last) : null;
}

/** How the dark and the flat frames become one image each. */
export function setAverage(job: Job, median: boolean): Job {
  const steps = stepsOf(job).filter((s) => nameOf(s) !== FLAT.name && nameOf(s) !== DARK.name);
  const first = steps.findIndex((s) => s.use === "flat_field");
  const flat = steps[first];
  if (!flat) return job;
  const bare = without(flat, "inputs");
  const frames = feedOf(steps, first);
  if (!median) {
    const plain = first === 0 ? bare : { ...bare, inputs: [frames] };
    return withSteps(job, [...steps.slice(0, first), plain, ...steps.slice(first + 1)]);
  }
  const fed = { ...bare, inputs: { frames, dark: DARK.name, flat: FLAT.name } } as unknown as StepValues;
  return withSteps(job, [...steps.slice(0, first), DARK, FLAT, fed, ...steps.slice(first + 1)]);
}
