/** What belongs to the pattern of one scan point: where it is, how it was kept, and why there may be none. */
import type { ReactElement } from "react";
import type { Frame } from "../api/message";
import type { RunDetail, ViewInfo } from "../api/types";
import { formatBytes } from "../units/format";
import { type Detectors, binnedOf } from "./detectors";
import type { Planes } from "./planes";
import { isEmpty, placeOfId, pointOf } from "./scan";

interface Props { info: ViewInfo; planes: Planes; detail: RunDetail }

/** "at y 12, x 40", or "newest: …" while nobody has chosen a point. */
export function PatternPlace({ info, planes, frameId }: Props & { frameId: number | null }): ReactElement | null {
  const point = pointOf(info, planes);
  if (!point) return null;
  const { y, x } = point.y.newest && frameId !== null ? placeOfId(frameId, point.x.max + 1) : { y: point.y.value, x: point.x.value };
  return <span className="number" data-testid="pattern-place"><em>{point.y.newest ? "newest, " : ""}y {y}, x {x}</em></span>;
}

/** "binned 4 × 4": patterns were too large to be kept in full. A press has the recorded frames read again. */
export function BinnedTag({ info, detail, detectors }: Pick<Props, "info" | "detail"> & { detectors: Detectors }): ReactElement | null {
  const binned = binnedOf(detail, info);
  if (!binned) return null;
  const { by, exact, choice } = binned;
  const kept = `All patterns in full would not fit into the memory of ${info.step}: they are kept with ${by} × ${by} pixels summed`;
  const text = exact ? "in full" : `binned ${by} × ${by}`;
  const title = exact ? `${kept}. The frames are read again from the file for what is shown; press to go back to what is kept` :
    `${kept}, and so is what the detector sees${choice ? ". Press to have the frames of a recorded scan read again" : ""}`;
  if (!choice) return <span className="tag" title={title} data-testid="binned">{text}</span>;
  return <button type="button" className="tag tag-button" data-testid="binned" aria-pressed={exact} title={title} onClick={() => detectors.sharpen(info.step, !exact)}>{text}</button>;
}

/** Back to the newest point, once one was chosen. */
export function PatternTags({ info, planes, disabled }: Omit<Props, "detail"> & { disabled: boolean }): ReactElement | null {
  const point = pointOf(info, planes);
  if (!point || point.y.newest || disabled) return null;
  return (
    <button type="button" className="tag tag-button" data-testid="newest-pattern" title="Follow the newest scan point again" onClick={() => planes.release([point.y.path, point.x.path])}>newest</button>
  );
}

/** Why there is no pattern where one was asked for. */
export function PatternNote({ info, planes, detail, frame }: Props & { frame: Frame | null }): ReactElement | null {
  const point = pointOf(info, planes);
  if (!point || !frame || !isEmpty(frame)) return null;
  const memory = detail.steps.find((step) => step.name === info.step)?.values["memory"];
  const room = typeof memory === "number" ? ` (${formatBytes(memory)})` : "";
  const come = point.y.value * (point.x.max + 1) + point.x.value <= frame.header.id;
  return (
    <div className="pattern-note" role="status" data-testid="no-pattern">
      {come ? `The pattern of this point is not held: it was lost, or newer ones took its place in the memory of ${info.step}${room}.` : "This point has not been scanned yet."}
    </div>
  );
}
