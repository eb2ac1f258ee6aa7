/**
 * The types of the service's answers, written by hand to the contract of /api/v1.
 *
 * `npm run types -- openapi.json` writes schema.ts beside this file; from then on a type whose shape FastAPI knows can
 * be re-exported here (`export type RunDetail = components["schemas"]["RunDetail"]`) and no other file changes.
 */
export type RunState = "starting" | "running" | "draining" | "done" | "failed" | "stopped" | "crashed";
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What the service says when a request is refused. */
export interface Problem {
  field: string | null;
  value?: Json;
  expected?: string | null;
  message: string;
  next?: string | null;
}

export interface Health {
  name: string;
  version: string;
  uptime_s: number;
  runs: number;
  loop_stall_ms: { max_last_minute: number };
}

export interface RunSummary {
  id: string;
  name: string;
  state: RunState;
  /** Unix time in seconds. */
  started: number;
  ended: number | null;
  error: string | Problem | null;
}

export interface Counts {
  expected: number | null;
  done: number;
  lost: number;
  dropped: number;
  rejected: number;
  excluded: number;
  waiting: number;
  duplicates: number;
}

export interface ViewInfo {
  name: string;
  step: string;
  output: string;
  axes: string[];
  shape: number[] | null;
  unit: string | null;
  pixel_size: number[] | null;
  pixel_unit: string | null;
  /** Axis name to `step.parameter`: which parameter moves the plane along that axis. */
  follows: Record<string, string>;
}

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

export interface StepInfo {
  name: string;
  use: string;
  title: string;
  schema: Schema;
  values: Record<string, Json>;
  held: Record<string, string>;
  live: boolean;
}

export interface Change {
  step: string;
  parameter: string;
  old: Json;
  new: Json;
  epoch: number;
  id: number;
  at: number;
}

export interface RunDetail extends RunSummary {
  counts: Counts;
  rates: { frames_per_second: number; bytes_per_second: number };
  latency_ms: { p50: number | null; p95: number | null; p99: number | null } | null;
  queue: { used_bytes: number; capacity_bytes: number; frames: number };
  views: ViewInfo[];
  steps: StepInfo[];
  values: Record<string, Json>;
  changes: Change[];
  result: string | null;
  job: { [key: string]: Json };
}

export interface LogLine {
  n: number;
  at: number;
  level: string;
  text: string;
}

export type RunEvent = { type: "status"; run: RunDetail } | { type: "log"; line: LogLine };

/** [row0, row1, col0, col1] in pixels of the full image; the ends are outside. */
export type Region = [number, number, number, number];

export interface Histogram {
  low: number;
  high: number;
  counts: number[];
}

/** The JSON header of one binary message of a view. */
export interface FrameHeader {
  view: string;
  version: number;
  shape: number[];
  dtype: "float32" | "float16" | "uint16" | "uint8";
  full_shape: number[];
  region: Region | null;
  axes: string[];
  unit: string | null;
  pixel_size: number[] | null;
  pixel_unit: string | null;
  range: [number, number];
  levels: [number, number];
  histogram: Histogram | null;
  coverage: number;
  epoch: number;
  id: number;
  received: number;
  sent: number;
  coarse: boolean;
}

export const ENDED: ReadonlySet<RunState> = new Set(["done", "failed", "stopped", "crashed"]);
