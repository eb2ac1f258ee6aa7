import type { ReactElement } from "react";
import type { Job } from "../api/types";
import { humanName } from "../forms/schema";
import { Mistakes, Slider } from "../ui";
import { formatDuration } from "../units/format";
import { StillImage } from "../views/StillImage";
import type { Display } from "../views/display";
import { CenterControl } from "./CenterControl";
import { Curve } from "./Curve";
import { nameOf, stepsOf } from "./edit";
import type { Slice } from "./useDesk";

interface Props {
  job: Job;
  onJob: (job: Job) => void;
  slice: Slice;
  shown: string | null;
  onShow: (output: string) => void;
  row: number | null;
  onRow: (row: number) => void;
  /** Columns of the detector. */
  columns: number;
  /** Centre that was found before the user took it over. */
  found: number | null;
  display: Display;
}

/** One slice, made again whenever something is set; rows and the centre by sliders. */
export function SlicePanel({ job, onJob, slice, shown, onShow, row, onRow, columns, found, display }: Props): ReactElement {
  const { told, busy, mistake } = slice;
  const name = shown ?? nameOf(stepsOf(job).at(-1) ?? { use: "" });
  const step = name.split(".")[0] ?? "";
  const rows = told?.rows ?? 1;
  // the picture is that of the settings before, or of another step
  const outdated = mistake !== null && told !== null && !busy;
  const old = outdated || (told !== null && told.view.split(".")[0] !== step);
  const outputs = told?.outputs ?? [];
  const aside = (
    <>
      {outputs.length > 1 && (
        <select className="select" aria-label="Output that is shown" data-testid="which-output" value={outputs.find((o) => o === name) ?? outputs[0]} onChange={(e) => onShow(e.target.value)}>
          {outputs.map((output) => <option key={output} value={output}>{output.split(".").at(-1)}</option>)}
        </select>
      )}
      <State slice={slice} outdated={outdated} />
    </>
  );
  const beside = Math.min(told?.margin ?? 0, rows - 1);
  const title = <>{humanName(step)}<span className="number" title={name}>{told && rows > 1 ? `row ${told.row}` : ""}{beside > 0 && <em title="Rows beside it are read as well: a step looks at neighbours"> ± {beside} rows read</em>}</span></>;
  const Shown = slice.line ? Curve : StillImage;
  return (
    <div className={`slice ${old ? "old" : ""}`}>
      <Shown name="slice" title={title} still={slice.still} display={display} aside={aside}>
        {mistake && <div className="slice-mistake"><Mistakes {...mistake} testid="slice-mistake" /></div>}
        {!told && !mistake && <div className="stream-note middle" role="status">The first picture takes a few seconds…</div>}
      </Shown>
      <footer className="slice-controls number">
        {rows > 1 && (
          <label>Row <strong>{told?.row}</strong> <em>of 0 … {rows - 1}</em>
            <Slider label="Detector row" value={row ?? told?.row ?? 0} min={0} max={rows - 1} onChange={onRow} testid="row" />
          </label>
        )}
        <CenterControl job={job} onJob={onJob} told={told} row={row} columns={columns} found={found} />
      </footer>
    </div>
  );
}

function State({ slice: { told, busy }, outdated }: { slice: Slice; outdated: boolean }): ReactElement {
  const made = told ? `made in ${told.seconds < 1 ? `${(told.seconds * 1000).toFixed(0)} ms` : formatDuration(told.seconds)}` : "";
  const text = outdated ? "not of these settings" : busy ? "Reconstructing…" : made;
  return <span className={`tag ${busy ? "busy" : ""} ${outdated ? "old" : ""}`} role="status" data-testid="slice-state" data-busy={busy}>{text}</span>;
}
