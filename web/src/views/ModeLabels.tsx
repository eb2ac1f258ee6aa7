import { type ReactElement, useMemo } from "react";
import type { Frame } from "../api/message";
import type { ViewInfo } from "../api/types";
import { useCalmFrame, useStream } from "./hooks";
import { type Size, type Viewport, toScreen } from "./viewport";

/** Axes of which all planes are shown at once, side by side: there are few, and they belong together. */
export const BESIDE: ReadonlySet<string> = new Set(["mode"]);

export const isBeside = (info: ViewInfo): boolean => info.axes.length > 2 && BESIDE.has(info.axes.at(-3) ?? "");

/** Shares of the power in planes that lie side by side, from what is on the screen. */
export function sharesOf(frame: Frame, planes: number): number[] {
  const [height = 0, width = 0] = frame.header.shape;
  const powers = new Array<number>(planes).fill(0);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = frame.pixels[row * width + column] ?? 0;
      const plane = Math.min(planes - 1, Math.floor((column * planes) / width));
      if (!Number.isNaN(value)) powers[plane] = (powers[plane] ?? 0) + value * value;
    }
  }
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => (total > 0 ? power / total : NaN));
}

interface Props { run: string; info: ViewInfo; views: ViewInfo[]; frame: Frame; view: Viewport; size: Size }

/** "mode 1 · 83 %" over each of the planes that lie side by side: what the step says, or else what the picture says. */
export function ModeLabels(props: Props): ReactElement {
  const told = props.views.find((v) => v.step === props.info.step && v.output === "shares");
  return told ? <Told {...props} name={told.name} /> : <Labels {...props} shares={null} />;
}

function Told({ name, ...props }: Props & { name: string }): ReactElement {
  const frame = useCalmFrame(useStream(props.run, name), 300);
  return <Labels {...props} shares={frame ? Array.from(frame.pixels) : null} />;
}

function Labels({ info, frame, view, size, shares }: Props & { shares: number[] | null }): ReactElement {
  const [, width = 1] = frame.header.full_shape;
  const count = Math.max(1, info.shape?.at(-3) ?? 1);
  const parts = useMemo(() => shares ?? sharesOf(frame, count), [shares, frame, count]);
  const label = info.axes.at(-3) ?? "";
  return (
    <div className="mode-labels number" data-testid="mode-labels">
      {parts.slice(0, count).map((share, i) => {
        const [left, top] = toScreen(view, size, (i * width) / count, 0);
        return <span key={i} style={{ left, top }}>{label} {i + 1}{count > 1 && Number.isFinite(share) && ` · ${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`}</span>;
      })}
    </div>
  );
}
