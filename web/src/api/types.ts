/**
 * The types of the service's answers. schema.ts is generated from the service's OpenAPI (`npm run types -- openapi.json`):
 * what it says well is taken over as it is; what is `unknown` there (JSON schema, values, jobs) is said more closely here.
 */
import type { components } from "./schema";

type Told = components["schemas"];

export type RunState = Told["RunSummary"]["state"];
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What the service says when a request is refused. */
export interface Problem {
  field: string | null;
  value?: Json;
  expected?: string | null;
  message: string;
  next?: string | null;
}

export type Health = Told["Health"];

export type RunSummary = Required<Told["RunSummary"]>;

export type Counts = Required<Told["FrameCounts"]>;

// what has a default is always sent
export type ViewInfo = Required<Told["RunView"]>;

/** The part of JSON schema that parameters use. */
export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  unit?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  /** What pydantic leaves of limits on types of its own: not JSON schema, and all the same known. */
  ge?: number;
  gt?: number;
  le?: number;
  lt?: number;
  multipleOf?: number;
  enum?: Json[];
  const?: Json;
  default?: Json;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  $ref?: string;
  $defs?: Record<string, Schema>;
}

export type StepInfo = Omit<Required<Told["RunStep"]>, "schema" | "values"> & { schema: Schema; values: Record<string, Json> };

export type Change = Omit<Told["ParameterChange"], "old" | "new"> & { old: Json; new: Json };

export type RunDetail = Omit<Required<Told["RunDetail"]>, "steps" | "views" | "values" | "changes" | "job"> & {
  views: ViewInfo[];
  steps: StepInfo[];
  values: Record<string, Json>;
  changes: Change[];
  job: { [key: string]: Json };
};

export type LogLine = Told["LogLine"];

export type RunEvent = { type: "status"; run: RunDetail } | { type: "log"; line: LogLine };

/** [row0, row1, col0, col1] in pixels of the full image; the ends are outside. */
export type Region = [number, number, number, number];

export type Histogram = Told["Histogram"];

/** The JSON header of one binary message of a view. */
export type FrameHeader = Omit<Required<Told["ViewHeader"]>, "dtype" | "region" | "range" | "levels" | "histogram"> & {
  dtype: "float32" | "float16" | "uint16" | "uint8" | "complex64";
  region: Region | null;
  range: [number, number];
  levels: [number, number];
  histogram: Histogram | null;
};

export const ENDED: ReadonlySet<RunState> = new Set(["done", "failed", "stopped", "crashed"]);

export type Job = { [key: string]: Json };

export type Plugin = Omit<Required<Told["Plugin"]>, "schema"> & { schema: Schema };
export type Catalogue = Record<"operators" | "sources" | "sinks" | "views", Plugin[]>;

export type Root = Told["Root"];
export type Entry = Required<Told["Entry"]>;
export type Folder = Omit<Required<Told["Folder"]>, "entries"> & { entries: Entry[] };
export type Description = Omit<Required<Told["Description"]>, "job"> & { job: Job };
export type Trial = Omit<Required<Told["Trial"]>, "job"> & { job: Job };

/** What the header of one slice says beside that of a view. */
export interface TrialHeader {
  /** The step, or its output, that the picture shows. */
  view: string;
  values: Record<string, Json>;
  row: number;
  rows: number;
  /** Rows on each side that were read for it. */
  margin: number;
  seconds: number;
  stack: { axis: string; size: number; values: Json[] | null }[];
  /** What the step gives, as `step.output`. */
  outputs: string[];
  /** Which value of a swept parameter makes the best picture. */
  best: { metric: string; place: number; numbers: (number | null)[] } | null;
}

export interface ResultHeader {
  whole: { axes: string[]; shape: number[]; axis: number | null; at: number | null };
}
