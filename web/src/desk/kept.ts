/** What a tab keeps of each scan: a reload, or a look at the page of a run, loses no settings. */
import { fieldsOf } from "../api/json";
import type { Job } from "../api/types";

/** What the user says about a scan, as it was typed. */
export interface Known { angles: string; order: string; values: string; dark: string }
export interface Kept { known: Known; job: Job | null }

export const NOTHING_KNOWN: Known = { angles: "", order: "", values: "", dark: "" };

const keyOf = (file: string): string => `firstlight desk ${file}`;

export function keep(file: string, kept: Kept): void {
  try {
    sessionStorage.setItem(keyOf(file), JSON.stringify(kept));
  } catch {
    // full, or forbidden: then a reload begins anew
  }
}

export function recall(file: string | null): Kept | null {
  try {
    const text = file === null ? null : sessionStorage.getItem(keyOf(file));
    return text === null ? null : (JSON.parse(text) as Kept);
  } catch {
    return null;
  }
}

/** The page's address: which scan, and which run of it is watched. */
export function deskPath(file: string | null, run: string | null): string {
  const query = new URLSearchParams({ ...(file !== null && { file }), ...(run !== null && { run }) }).toString();
  return `/offline${query && `?${query}`}`;
}

export function askedFor(search: string): { file: string | null; run: string | null } {
  const query = new URLSearchParams(search);
  return { file: query.get("file") || null, run: query.get("run") || null };
}

/** The file that a job reads. */
export function fileOf(job: Job | null | undefined): string | null {
  const { path } = fieldsOf(job?.["source"]);
  return typeof path === "string" && path.startsWith("/") ? path : null;
}
