/** What each state of a run is called, and how it looks. */
import { fieldsOf } from "../api/json";
import type { Problem, RunDetail, RunState } from "../api/types";
import type { Tone } from "../ui";

interface Words { label: string; tone: Tone; meaning: string }

export const STATES: Record<RunState, Words> = {
  starting: { label: "Starting", tone: "busy", meaning: "The run is being set up." },
  running: { label: "Running", tone: "good", meaning: "Frames are coming and being worked on." },
  draining: { label: "Finishing", tone: "busy", meaning: "No more frames come; what is on its way is being finished." },
  done: { label: "Done", tone: "calm", meaning: "All frames are done and all files are closed." },
  failed: { label: "Failed", tone: "bad", meaning: "A step, source or sink gave up." },
  stopped: { label: "Stopped", tone: "warn", meaning: "Somebody stopped it; what had come is in the result." },
  crashed: { label: "Crashed", tone: "bad", meaning: "The process of the run ended without a word." },
};

/** Somebody asked it to end, and it has not ended yet. */
export const STOPPING: Words = { label: "Stopping", tone: "busy", meaning: "It ends as soon as the step in work can; what had come is written." };

export const wordsOf = (state: string): Words =>
  STATES[state as RunState] ?? { label: state, tone: "calm", meaning: "" };

/** True while a run has all its frames and stays open for somebody who looks. */
export const isLingering = (run: Pick<RunDetail, "state" | "counts" | "job">): boolean => {
  const { linger } = fieldsOf(run.job?.["runner"]);
  return run.state === "draining" && run.counts.waiting === 0 && Boolean(linger);
};

/** True while a recorded scan is read to its end, and not yet worked on to its end; views are no stages, and are computed all the same. */
export const isWorking = (run: Pick<RunDetail, "state" | "stages" | "counts" | "bound">): boolean =>
  run.state === "draining" && (run.stages.some((stage) => stage.expected !== null && stage.done < stage.expected)
    || (run.counts.waiting === 0 && (run.bound ?? "").startsWith("computing")));

const LINGERING: Words = { label: "Complete", tone: "good", meaning: "All frames are done. The run stays open, so that points and detectors can be looked at; End closes it." };

const WORKING: Words = { label: "Computing", tone: "busy", meaning: "All frames have come; the rest is being computed and written." };

/** What a run is called that "draining" says too little of: it may stay open for an hour, or compute for one. */
export const wordsOfRun = (run: Pick<RunDetail, "state" | "counts" | "stages" | "bound" | "job">): Words =>
  isLingering(run) ? LINGERING : isWorking(run) ? WORKING : wordsOf(run.state);

export function errorText(error: string | Problem | null): string {
  if (error === null) return "";
  if (typeof error === "string") return error;
  return [error.message, error.next].filter(Boolean).join(" ");
}
