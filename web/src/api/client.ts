/** Calls of the REST interface. Every refusal becomes an ApiError that carries the service's own words. */
import type { Catalogue, Description, Folder, Health, Json, LogLine, Problem, Root, RunDetail, RunSummary, Trial } from "./types";

const ROOT = "/api/v1";

export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number;
  readonly problem: Problem;
  /** Every mistake of a job, when its check found several. */
  readonly problems: string[];

  constructor(status: number, problem: Problem, problems: string[] = []) {
    super(problem.message);
    this.status = status;
    this.problem = problem;
    this.problems = problems;
  }
}

/** The sentence to show for anything that was thrown: what is wrong, what was expected, what to do. */
export function sayError(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  return sayProblem(error.problem);
}

function sayProblem({ message, expected, next }: Problem): string {
  const wanted = expected && !message.includes(expected) && !next?.includes(expected) ? `Expected ${expected.replace(/\.$/, "")}.` : "";
  const move = next && !message.includes(next) ? next : "";
  return [message, wanted, move].filter(Boolean).join(" ");
}

/** What was wrong, in words: one sentence, or every mistake of a job. */
export interface Mistake { message: string; problems: string[] }

/** Where the mistakes of a job are listed, they say themselves what to correct. */
export function mistakeOf(error: unknown): Mistake {
  const problems = error instanceof ApiError ? error.problems : [];
  return { message: problems.length > 0 && error instanceof ApiError ? error.message : sayError(error), problems };
}

/** The service did not answer: it may come back. */
export const isAway = (error: unknown): boolean => error instanceof ApiError && error.status === 0;

/** Read the body of a refusal, whatever shape it has: ours, FastAPI's `detail`, or a proxy's page. */
export function readProblem(status: number, body: unknown): ApiError {
  const fallback: Problem = { field: null, message: `The service answered ${status}.` };
  if (typeof body !== "object" || body === null) return new ApiError(status, fallback);
  const { error, problems, detail } = body as { error?: Problem; problems?: unknown; detail?: unknown };
  const list = Array.isArray(problems) ? problems.map(String) : [];
  if (error && typeof error.message === "string") return new ApiError(status, error, list);
  if (typeof detail === "string") return new ApiError(status, { field: null, message: detail }, list);
  if (Array.isArray(detail)) {
    const lines = (detail as { loc?: unknown[]; msg?: string }[]).map((d) => `${(d.loc ?? []).slice(1).join(".")}: ${d.msg ?? ""}`);
    return new ApiError(status, { field: null, message: lines.join("; ") }, lines);
  }
  return new ApiError(status, fallback, list);
}

async function fetched(method: string, path: string, body?: Json, signal?: AbortSignal): Promise<Response> {
  try {
    const init: RequestInit = { method, credentials: "same-origin", ...(signal && { signal }) };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { "Content-Type": "application/json" };
    }
    return await fetch(ROOT + path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { field: null, message: "The service does not answer.", next: "Is `firstlight serve` running?" });
  }
}

async function call<T>(method: string, path: string, body?: Json): Promise<T> {
  const response = await fetched(method, path, body);
  const text = await response.text();
  let value: unknown = null;
  try {
    value = text === "" ? null : JSON.parse(text);
  } catch {
    if (response.ok) throw new ApiError(response.status, { field: null, message: `${method} ${path} did not answer JSON.` });
  }
  if (!response.ok) throw readProblem(response.status, value);
  return value as T;
}

/** A binary answer: an image with its header. */
async function image(path: string, body: Json, signal?: AbortSignal): Promise<ArrayBuffer> {
  const response = await fetched("POST", path, body, signal);
  if (response.ok) return response.arrayBuffer();
  throw readProblem(response.status, await response.json().catch(() => null));
}

const run = (id: string): string => `/runs/${encodeURIComponent(id)}`;

export const api = {
  health: () => call<Health>("GET", "/health"),
  runs: () => call<RunSummary[]>("GET", "/runs"),
  run: (id: string) => call<RunDetail>("GET", run(id)),
  start: (job: Json) => call<RunDetail>("POST", "/runs", { job }),
  stop: (id: string) => call<RunDetail>("POST", `${run(id)}/stop`),
  log: (id: string, after: number) => call<{ lines: LogLine[]; next: number }>("GET", `${run(id)}/log?after=${after}`),
  set: (id: string, changes: Record<string, Record<string, Json>>) =>
    call<{ epoch: number; id: number }>("PATCH", `${run(id)}/parameters`, changes),
  catalogue: () => call<Catalogue>("GET", "/catalogue"),
  roots: () => call<Root[]>("GET", "/files/roots"),
  folder: (path: string) => call<Folder>("GET", `/files/list?path=${encodeURIComponent(path)}`),
  describe: (question: { path: string; source?: { [key: string]: Json }; values?: string | null }) => call<Description>("POST", "/files/describe", question as Json),
  trial: (trial: Trial, signal?: AbortSignal) => image("/files/trial", trial as unknown as Json, signal),
  resultSlice: (wanted: { path: string; axis?: number; at?: number | null; width: number; height: number }, signal?: AbortSignal) => image("/files/result", wanted as Json, signal),
  session: (token: string) => call<unknown>("POST", "/session", { token }),
};

/** Where the viewer of HDF5 files asks. */
export const h5groveAddress = (): string => `${window.location.origin}${ROOT}/files/h5grove`;

export const reportAddress = (id: string): string => `${ROOT}${run(id)}/report`;

export function viewAddress(id: string, view: string, ending: "png" | "tiff" | "npy", query: Record<string, string> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `${ROOT}${run(id)}/views/${encodeURIComponent(view)}.${ending}${search ? `?${search}` : ""}`;
}

export function socketAddress(path: string, page: { protocol: string; host: string } = window.location): string {
  return `${page.protocol === "https:" ? "wss" : "ws"}://${page.host}${ROOT}${path}`;
}

export const eventsPath = (id: string): string => `${run(id)}/events`;
export const viewPath = (id: string, view: string): string => `${run(id)}/views/${encodeURIComponent(view)}`;
