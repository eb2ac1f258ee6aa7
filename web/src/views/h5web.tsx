/** The parts of @h5web/lib that we use, in one chunk that is fetched when the first of them is shown. */
import { Histogram, LineVis, ScaleType, getDomain } from "@h5web/lib";
import "@h5web/lib/styles.css";
import ndarray from "ndarray";
import { type ReactElement, useMemo } from "react";
import type { Histogram as Counts } from "../api/types";

/** Pixels per bin; the height is log(1 + n), or the air around a sample would flatten everything else. */
export default function LevelHistogram({ histogram, value }: { histogram: Counts; value: [number, number] }): ReactElement {
  const { low, high, counts } = histogram;
  const values = useMemo(() => counts.map((n) => Math.log1p(n)), [counts]);
  const bins = useMemo(() => Array.from({ length: counts.length + 1 }, (_, i) => low + ((high - low) * i) / counts.length), [low, high, counts.length]);
  return <div className="h5w"><Histogram values={values} bins={bins} value={value} dataDomain={[low, high]} scaleType={ScaleType.Linear} showLeftAxis={false} /></div>;
}

export interface LinePlotProps {
  values: number[];
  positions: number[];
  axisLabel: string;
  valueLabel: string;
  /** Values on a logarithmic axis. */
  log: boolean;
}

export function LinePlot({ values, positions, axisLabel, valueLabel, log }: LinePlotProps): ReactElement {
  const data = useMemo(() => ndarray(values, [values.length]), [values]);
  const scale = log ? ScaleType.Log : ScaleType.Linear;
  return (
    <div className="h5w line-plot">
      <LineVis dataArray={data} domain={getDomain(values, { scaleType: scale })} scaleType={scale} abscissaParams={{ label: axisLabel, value: positions }} ordinateLabel={valueLabel} showGrid />
    </div>
  );
}
