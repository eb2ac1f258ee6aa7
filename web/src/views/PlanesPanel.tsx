import type { ReactElement } from "react";
import { Panel, Slider } from "../ui";
import { formatLength } from "../units/format";
import { type Plane, type Planes, axisColor } from "./planes";

/** A slider for each plane; the same positions as the lines on the slices. */
export function PlanesPanel({ planes, disabled, refused }: { planes: Planes; disabled: boolean; refused: string | null }): ReactElement | null {
  if (planes.list.length === 0) return null;
  const scan = planes.list.every((plane) => plane.axis.startsWith("scan_"));
  return (
    <Panel title={scan ? "Scan point" : "Slice positions"} testid="planes" aside={<span className="hint">{scan ? "click on a scan image" : "drag the lines, or double-click"}</span>}>
      {planes.list.map((plane) => <PlaneRow key={plane.path} plane={plane} disabled={disabled || plane.held} move={(v) => planes.move({ [plane.path]: v })} />)}
      {refused && <p className="mistake" role="alert">{refused}</p>}
    </Panel>
  );
}

function PlaneRow({ plane, disabled, move }: { plane: Plane; disabled: boolean; move: (value: number) => void }): ReactElement {
  const { axis, value, min, max, pixel, pixelUnit, newest } = plane;
  const length = pixel !== null && pixelUnit ? formatLength(value * pixel, pixelUnit) : "";
  return (
    <div className="plane-row">
      <b style={{ color: axisColor(axis) }} title={axis}>{axis.replace(/^scan_/, "")}</b>
      <Slider label={`Slice position ${axis}`} value={value} min={min} max={max} color={axisColor(axis)} onChange={move} disabled={disabled}
        testid={`slice-${axis}`} text={`${value} of ${max}${length && `, ${length}`}`} />
      <input type="number" className="input number" aria-label={`Position ${axis} in pixels`} min={min} max={max} value={value} disabled={disabled}
        onChange={(e) => Number.isFinite(e.target.valueAsNumber) && move(e.target.valueAsNumber)} data-testid={`slice-${axis}-number`} />
      <span className="number">{newest ? "newest" : length || `of ${max}`}</span>
    </div>
  );
}
