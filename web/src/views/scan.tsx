/** What a scan adds to its pictures: which point the pattern belongs to, and which part is from before a change. */
import type { ReactElement } from "react";
import type { Frame } from "../api/message";
import type { Change, RunDetail, ViewInfo } from "../api/types";
import { isPattern, isScanImage } from "./detectors";
import type { Plane, Planes } from "./planes";
import { type Size, type Viewport, toScreen } from "./viewport";

/** Pictures of the same scan follow the same point: the one that some step shows the pattern of. */
export function withSharedPoint(views: ViewInfo[]): ViewInfo[] {
  const leader = views.find((v) => isScanImage(v) && Object.keys(v.follows).length > 0);
  if (!leader) return views;
  const same = (v: ViewInfo): boolean => isScanImage(v) && v.shape?.slice(-2).join() === leader.shape?.slice(-2).join();
  return views.map((v) => (same(v) && Object.keys(v.follows).length === 0 ? { ...v, follows: leader.follows } : v));
}

/** The planes that choose the point whose pattern a view shows: line and point of the scan. */
export function pointOf(info: ViewInfo, planes: Planes): { y: Plane; x: Plane } | null {
  if (!isPattern(info) || info.output !== "pattern") return null;
  const [y, x] = ["scan_y", "scan_x"].map((name) => planes.find(`${info.step}.${name}`));
  return y && x ? { y, x } : null;
}

export const isEmpty = (frame: Frame): boolean => frame.pixels.every((value) => Number.isNaN(value));

/** Line and point of a frame's id in a scan. */
export function placeOfId(id: number, points: number): { y: number; x: number } {
  return { y: Math.floor(id / points), x: id % points };
}

/** The last change of a view's step while frames came, or null where all of the picture is of now. */
export function changeOf(run: RunDetail, info: ViewInfo): Change | null {
  return run.changes.filter((change) => change.step === info.step && change.id > 0).at(-1) ?? null;
}

/** Hatched: points that came before the last change of the step, and show what it gave then. */
export function OldPart({ run, info, view, size }: { run: RunDetail; info: ViewInfo; view: Viewport; size: Size }): ReactElement | null {
  const change = isScanImage(info) ? changeOf(run, info) : null;
  // folds draw all of their picture anew
  const perFrame = run.steps.find((step) => step.name === info.step)?.per_frame ?? false;
  const [lines, points] = info.shape?.slice(-2) ?? [];
  if (!change || !lines || !points || !perFrame) return null;
  const { y, x } = placeOfId(Math.min(change.id, lines * points), points);
  const [left, top] = toScreen(view, size, 0, 0);
  const [right, full] = toScreen(view, size, points, y);
  const [middle, rest] = toScreen(view, size, x, Math.min(y + 1, lines));
  return (
    <svg className="old-part" width={size.width} height={size.height} data-testid="old-part">
      <title>{`Before frame ${change.id}: as ${change.step} was set until then`}</title>
      <defs><pattern id="old" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2" height="7" /></pattern></defs>
      <path d={`M${left} ${top}H${right}V${full}H${middle}V${rest}H${left}z`} fill="url(#old)" />
      <text x={left + 6} y={Math.max(top + 16, Math.min(rest, full) - 6)}>before the change</text>
    </svg>
  );
}
