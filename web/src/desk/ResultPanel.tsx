import { type ReactElement, useEffect, useState } from "react";
import { type Mistake, api, mistakeOf } from "../api/client";
import type { ResultHeader } from "../api/types";
import { Slider } from "../ui";
import { StillImage } from "../views/StillImage";
import type { Display } from "../views/display";
import type { Still } from "../views/still";

/** A result file, slice by slice, along any of its axes. */
export function ResultPanel({ path, still, size, display }: { path: string; still: Still; size: { width: number; height: number }; display: Display }): ReactElement {
  const [asked, setAsked] = useState<{ axis: number; at: number | null }>({ axis: 0, at: null });
  const [whole, setWhole] = useState<ResultHeader["whole"] | null>(null);
  const [mistake, setMistake] = useState<Mistake | null>(null);
  useEffect(() => {
    const giveUp = new AbortController();
    const timer = setTimeout(() => {
      api.resultSlice({ path, ...asked, ...size }, giveUp.signal).then((message) => {
        setWhole(still.put<ResultHeader>(message).whole);
        setMistake(null);
      }, (error: unknown) => { if (!giveUp.signal.aborted) setMistake(mistakeOf(error)); });
    }, 40);
    return () => {
      clearTimeout(timer);
      giveUp.abort();
    };
    // the size of the window is no reason to ask again
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [path, asked, still]);
  const label = whole?.axis == null ? "" : (whole.axes[whole.axis] ?? "");
  const at = asked.at ?? whole?.at ?? 0;
  return (
    <div className="slice">
      <StillImage name="result" title={<>{path.slice(path.lastIndexOf("/") + 1)}<span className="number" title={path}>{label && `${label} ${at}`}</span></>} still={still} display={display}>
        {mistake && <div className="stream-note bad slice-mistake" role="alert" data-testid="result-mistake">{mistake.message}</div>}
        {!whole && !mistake && <div className="stream-note middle" role="status">Reading the result…</div>}
      </StillImage>
      {whole && whole.axis !== null && (
        <footer className="slice-controls number">
          <label className="axis-choice">Across
            <select className="select" value={asked.axis} onChange={(e) => setAsked({ axis: Number(e.target.value), at: null })} aria-label="Slices lie across">
              {whole.axes.map((axis, i) => <option key={axis} value={i}>{axis} ({whole.shape[i]})</option>)}
            </select>
          </label>
          <label>{label} <strong>{at}</strong> <em>of 0 … {(whole.shape[whole.axis] ?? 1) - 1}</em>
            <Slider label={`Position along ${label}`} value={at} min={0} max={(whole.shape[whole.axis] ?? 1) - 1} color="var(--axis-z)" onChange={(value) => setAsked({ ...asked, at: value })} testid="result-at" />
          </label>
        </footer>
      )}
    </div>
  );
}
