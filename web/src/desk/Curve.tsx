import { type ReactElement, type ReactNode, Suspense, lazy, useMemo } from "react";
import { SvgPlot, canBeLog, hasWebgl, lineOf } from "../views/LineView";
import { useCalmFrame } from "../views/hooks";
import type { Still } from "../views/still";

const LinePlot = lazy(async () => ({ default: (await import("../views/h5web")).LinePlot }));

/** What a step gives along one axis: how an iteration converges, a centre for each row. */
export function Curve({ title, still, aside, children }: { title: ReactNode; still: Still; aside?: ReactNode; children?: ReactNode }): ReactElement {
  const frame = useCalmFrame(still, 50);
  const line = useMemo(() => (frame ? lineOf(frame) : null), [frame]);
  const log = line !== null && frame?.header.axes[0] === "iteration" && canBeLog(line.values);
  const Plot = hasWebgl() ? LinePlot : SvgPlot;
  return (
    <article className="tile still">
      <header><h2>{title}</h2><div className="tile-tags">{aside}</div></header>
      <div className="tile-body line" data-testid="curve" data-length={line?.values.length ?? 0}>
        {line && <Suspense fallback={null}><Plot {...line} log={log} /></Suspense>}
        {children}
      </div>
    </article>
  );
}
