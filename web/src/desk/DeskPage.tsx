import { type ReactElement, Suspense, lazy, useEffect, useMemo, useRef, useState } from "react";
import type { Job } from "../api/types";
import { Brand } from "../pages/HomePage";
import { ErrorBoundary, Tabs } from "../ui";
import { ContrastPanel } from "../views/ContrastPanel";
import { Display } from "../views/display";
import { FilePicker } from "./FilePicker";
import { QuickPanel } from "./QuickPanel";
import { ResultPanel } from "./ResultPanel";
import { RunPanel } from "./RunPanel";
import { ScanCard } from "./ScanCard";
import { SlicePanel } from "./SlicePanel";
import { StepList } from "./StepList";
import { centerOf, hasStep, without } from "./edit";
import { type Desk, type Slice, resultOf, useDesk, useOperators, useSlice } from "./useDesk";
import "./desk.css";

const Structure = lazy(() => import("./Structure"));
/** Pixels that a slice is sent with: more than most screens show, and still sent in a moment. */
const SIZE = { width: 1200, height: 1200 };

/** A recorded scan: pick it, look into it, set the steps by one slice, run, open the result. */
export function DeskPage(): ReactElement {
  const desk = useDesk();
  useEffect(() => { document.title = "Recorded scans · firstlight"; }, []);
  return (
    <div className="run-page desk-page">
      <header className="top"><Brand /><h1>Reconstruct a recorded scan</h1></header>
      <div className="desk-body">
        <aside className="desk-files" aria-label="Scan">
          <FilePicker chosen={desk.file} onChoose={desk.choose} />
          <ScanCard desk={desk} />
        </aside>
        {/* another file is another job: nothing of the old one stays */}
        <Work key={desk.file ?? ""} desk={desk} />
      </div>
    </div>
  );
}

/** The centre that a step found, kept when the user takes it over. */
function useFound(job: Job | null, slice: Slice): number | null {
  const last = useRef<number | null>(null);
  const from = job && centerOf(job)?.from;
  const now = slice.told && from ? resultOf(slice.told.values, from) : null;
  useEffect(() => { if (now !== null) last.current = now; }, [now]);
  return now ?? last.current;
}

function Work({ desk }: { desk: Desk }): ReactElement {
  const { job, setJob, about } = desk;
  const operators = useOperators();
  const [row, setRow] = useState<number | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [tab, setTab] = useState("slice");
  const [run, setRun] = useState<string | null>(null);
  const [result, setResult] = useState<string | null>(null);
  const shown = chosen !== null && job && hasStep(job, chosen.split(".")[0] ?? "") ? chosen : null;
  const asked = useMemo(() => (job ? { job: withoutOutputs(job), row, of: shown ?? sinkStep(job), index: [] } : null), [job, row, shown]);
  const slice = useSlice(asked, SIZE);
  const found = useFound(job, slice);
  const displays = useDisplays();
  const columns = about?.streams.find((s) => s.name === "data")?.sizes.at(-1) ?? 2048;
  const name = asked?.of ?? null;
  const display = displays(name ?? "");
  const openResult = (path: string): void => {
    setResult(path);
    setTab("result");
  };
  const tabs = [
    { id: "slice", label: "Slice", content: job
      ? <SlicePanel job={job} onJob={setJob} slice={slice} shown={name} onShow={setChosen} row={row} onRow={setRow} columns={columns} found={found} display={display} />
      : <Empty desk={desk} /> },
    { id: "structure", label: "Structure", content: <StructureOf desk={desk} /> },
    { id: "result", label: "Result", content: result
      ? <ResultPanel key={result} path={result} size={SIZE} display={displays("result")} />
      : <p className="empty">The result can be opened here once a run has ended.</p> },
  ];
  return (
    <>
      <main className="desk-main"><ErrorBoundary what="This part"><Tabs tabs={tabs} chosen={tab} onChoose={setTab} label="Scan" /></ErrorBoundary></main>
      <aside className="side desk-side" aria-label="Steps">
        {job && (
          <>
            <QuickPanel job={job} onJob={setJob} />
            <StepList job={job} onJob={setJob} operators={operators} values={slice.told?.values ?? {}} shown={name?.split(".")[0] ?? null} onShow={setChosen} />
            {tab === "slice" && <ContrastPanel key={name} name={name ?? "slice"} stream={slice.still} display={display} linked={false} onLink={null} />}
            <RunPanel job={job} onJob={setJob} run={run} onRun={setRun} onResult={openResult} />
          </>
        )}
      </aside>
    </>
  );
}

function Empty({ desk }: { desk: Desk }): ReactElement {
  if (desk.file === null) return <p className="empty" data-testid="no-file">Choose a scan on the left: an HDF5 or TIFF file, or a folder of images.</p>;
  if (desk.mistake || desk.about?.problem) return <p className="empty">The file alone does not say how to reconstruct it. On the left stands what is missing, and a place to say it.</p>;
  return <p className="empty">Reading the file…</p>;
}

function StructureOf({ desk }: { desk: Desk }): ReactElement {
  if (desk.file === null) return <p className="empty">Choose a file on the left.</p>;
  if (!/\.(h5|hdf5|hdf|nxs|nx|cxi|emd|he5)$/i.test(desk.file)) return <p className="empty">Only HDF5 files have a structure to show.</p>;
  return <Suspense fallback={<p className="empty">Loading the viewer…</p>}><Structure key={desk.file} file={desk.file} /></Suspense>;
}

/** Colours and levels by what is shown: a sinogram and a slice have nothing in common. */
function useDisplays(): (name: string) => Display {
  const made = useRef(new Map<string, Display>());
  return (name) => {
    const known = made.current.get(name) ?? new Display();
    made.current.set(name, known);
    return known;
  };
}

/** A slice does not depend on where the result goes, nor on which other rows are wanted. */
function withoutOutputs(job: Job): Job {
  const rest = without(job, "sinks", "name", "only");
  const only = job["only"];
  if (typeof only !== "object" || only === null || Array.isArray(only)) return rest;
  const others = without(only, "row");
  return Object.keys(others).length > 0 ? { ...rest, only: others } : rest;
}

function sinkStep(job: Job): string | null {
  const sinks = job["sinks"];
  const first = Array.isArray(sinks) ? sinks[0] : null;
  const of = typeof first === "object" && first !== null && !Array.isArray(first) ? first["of"] : null;
  const step = typeof of === "string" ? (of.split(".")[0] ?? null) : null;
  return step !== null && hasStep(job, step) ? step : null;
}
