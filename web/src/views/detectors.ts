/** Virtual detectors that a user can drag: steps with a middle and radii in pixels of the frames. */
import { useCallback, useEffect, useMemo, useState } from "react";
import type { Json, RunDetail, StepInfo, ViewInfo } from "../api/types";
import { ENDED } from "../api/types";

export interface Detector {
  /** The step that it belongs to. */
  step: string;
  ring: boolean;
  /** Row and column of the middle; pixel 0 lies about 0, as in the step. */
  center: [number, number];
  inner: number;
  outer: number;
  /** It cannot be moved: the run has ended, or another step gives it. */
  fixed: boolean;
}

export type DetectorChange = Partial<Pick<Detector, "center" | "inner" | "outer">>;

/** Rows and columns of the frames of a run, as far as a view tells them. */
export function frameShape(views: ViewInfo[]): [number, number] | null {
  const view = views.find((v) => isPattern(v) && v.axes.length === 2 && v.shape !== null);
  const [rows, columns] = view?.shape ?? [];
  return rows && columns ? [rows, columns] : null;
}

/** True for what the detector sees: its pixels are those that virtual detectors count in. */
export const isPattern = (view: Pick<ViewInfo, "axes">): boolean => view.axes.slice(-2).join(" ") === "row col";

/** True for a picture with one value for each point of the scan. */
export const isScanImage = (view: Pick<ViewInfo, "axes">): boolean => view.axes.slice(-2).join(" ") === "scan_y scan_x";

const NAMES = ["shape", "center", "outer"];
const SHAPES: Json[] = ["disk", "annulus"];

export function findDetectors(run: RunDetail): Detector[] {
  const shape = frameShape(run.views);
  if (!shape) return [];
  return run.steps.flatMap((step) => describe(step, shape, ENDED.has(run.state)));
}

function describe(step: StepInfo, shape: [number, number], ended: boolean): Detector[] {
  const { values, held, schema } = step;
  const known = NAMES.every((name) => name in (schema.properties ?? {})) && SHAPES.includes(values["shape"] ?? null);
  if (!known) return [];
  const ring = values["shape"] === "annulus";
  const number = (name: string, usual: number): number => (typeof values[name] === "number" ? values[name] : usual);
  const middle = values["center"];
  const center: [number, number] = Array.isArray(middle) ? [Number(middle[0]), Number(middle[1])] : [(shape[0] - 1) / 2, (shape[1] - 1) / 2];
  const usual = ring ? Math.hypot(...shape) : Math.min(...shape) / 4;
  return [{
    step: step.name, ring, center, inner: ring ? number("inner", 0) : 0, outer: number("outer", usual),
    fixed: ended || !step.live || NAMES.some((name) => name in held),
  }];
}

const tenth = (value: number): number => Math.round(value * 10) / 10;

/** The change as it is sent: to a tenth of a pixel, inside the frame, the inner radius below the outer one. */
export function tidy(detector: Detector, change: DetectorChange, shape: [number, number]): DetectorChange {
  const kept: DetectorChange = {};
  if (change.center) kept.center = [0, 1].map((i) => tenth(Math.min(Math.max(change.center?.[i] ?? 0, 0), (shape[i] ?? 1) - 1))) as [number, number];
  const longest = Math.ceil(Math.hypot(...shape));
  if (change.outer !== undefined) kept.outer = tenth(Math.min(Math.max(change.outer, detector.ring ? detector.inner + 0.5 : 0.5), longest));
  if (change.inner !== undefined) kept.inner = tenth(Math.min(Math.max(change.inner, 0), detector.outer - 0.5));
  return kept;
}

/** A dragged detector stays where the hand put it until the service confirms, or 2 s have passed. */
const TRUST_MS = 2000;

export interface Detectors {
  list: Detector[];
  move: (step: string, change: DetectorChange) => void;
  /** Have the frames of a recorded scan read again, where they are kept binned; or show what is kept. */
  sharpen: (step: string, exact: boolean) => void;
}

export interface Binned {
  /** Rows and columns that are summed before patterns are kept. */
  by: number;
  /** Frames are read again for what is shown. */
  exact: boolean;
  /** This can be asked for. */
  choice: boolean;
}

/** How the patterns that a view shows, or that its image is made of, were kept; null where all their pixels were. */
export function binnedOf(run: RunDetail, info: Pick<ViewInfo, "step" | "output" | "axes">): Binned | null {
  const step = run.steps.find(({ name }) => name === info.step);
  const by = step?.values["binning"];
  const made = isScanImage(info) || info.output === "pattern";
  if (!step || !made || typeof by !== "number" || by < 2) return null;
  return { by, exact: step.values["exact"] === true, choice: "exact" in step.values && step.live && !ENDED.has(run.state) };
}

const agree = (told: Detector, moved: DetectorChange): boolean =>
  Object.entries(moved).every(([name, value]) => JSON.stringify(told[name as keyof Detector]) === JSON.stringify(value));

export function useDetectors(run: RunDetail, drag: (changes: Record<string, Record<string, Json>>) => void): Detectors {
  const [moved, setMoved] = useState<Record<string, DetectorChange>>({});
  const told = useMemo(() => findDetectors(run), [run]);
  const shape = useMemo(() => frameShape(run.views), [run.views]);
  const list = useMemo(() => told.map((d) => ({ ...d, ...moved[d.step] })), [told, moved]);
  useEffect(() => {
    if (Object.keys(moved).length === 0) return;
    const confirmed = told.every((d) => agree(d, moved[d.step] ?? {}));
    const timer = setTimeout(() => setMoved({}), confirmed ? 0 : TRUST_MS);
    return () => clearTimeout(timer);
  }, [moved, told]);
  const move = useCallback((step: string, change: DetectorChange) => {
    const detector = list.find((d) => d.step === step);
    if (!detector || detector.fixed || !shape) return;
    const kept = tidy(detector, change, shape);
    setMoved((old) => ({ ...old, [step]: { ...old[step], ...kept } }));
    drag({ [step]: kept as Record<string, Json> });
  }, [list, shape, drag]);
  const sharpen = useCallback((step: string, exact: boolean) => drag({ [step]: { exact } }), [drag]);
  return useMemo(() => ({ list, move, sharpen }), [list, move, sharpen]);
}
