/** Job files: YAML as people write it, JSON as the service takes it. */
import { parse, stringify, YAMLParseError } from "yaml";
import type { Json } from "../api/types";

export const EXAMPLE = `# a sample that exists nowhere: try everything without a detector
source: {use: phantom}
steps:
  - {use: flat_field}
  - {use: minus_log}
  - {use: find_center}
  - {use: live_slices, name: slices, inputs: [minus_log], center: {from: find_center}}
  - {use: latest, name: projection, inputs: [minus_log]}
views:
  - {of: slices, every: 0.1 s, to: [web]}
  - {of: projection, every: 0.1 s, to: [web]}
`;

export type ReadJob = { job: { [key: string]: Json } } | { mistake: string };

/** Text to a job, or one sentence that says where the text goes wrong. */
export function readJob(text: string): ReadJob {
  if (text.trim() === "") return { mistake: "Paste a job, or choose a job file." };
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 100 });
  } catch (error) {
    const line = error instanceof YAMLParseError ? error.linePos?.[0].line : undefined;
    const said = (error as Error).message.split("\n")[0] ?? "";
    return { mistake: `This is not YAML${line ? `: line ${line}` : ""}. ${said.replace(/ at line .*$/, "")}.` };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { mistake: "A job is a mapping with `source:` and `steps:`; this text is not." };
  }
  if (!("source" in value)) return { mistake: "The job has no `source:`. Where do the frames come from?" };
  return { job: JSON.parse(JSON.stringify(value)) as { [key: string]: Json } };
}

export const writeJob = (job: { [key: string]: Json }): string => stringify(job, { lineWidth: 110 });
