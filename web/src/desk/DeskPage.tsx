import { type ReactElement, Suspense, lazy, useEffect, useMemo, useRef, useState } from "react";
import { api } from "../api/client";
import { usePolled } from "../api/hooks";
import { fieldsOf } from "../api/json";
import type { Job, Plugin } from "../api/types";
import { Brand } from "../pages/HomePage";
import { Banner, ErrorBoundary, Mistakes, Tabs } from "../ui";
import { ContrastPanel } from "../views/ContrastPanel";
import { humanName } from "../forms/schema";
import { Display } from "../views/display";
import { Still } from "../views/still";
import { FilePicker } from "./FilePicker";
import { QuickPanel } from "./QuickPanel";
import { ResultPanel } from "./ResultPanel";
import { RunPanel } from "./RunPanel";
import { ScanCard } from "./ScanCard";
import { SlicePanel } from "./SlicePanel";
import { StepList } from "./StepList";
import { binOf, centerOf, hasStep, nameOf, sinkStep, stepsOf, without } from "./edit";
import { type Desk, type Slice, resultOf, useDesk, useOperators, useSlice } from "./useDesk";
import { hasProjections, isResult, pageWords, sizeAlong } from "./words";
import "./desk.css";

const Structure = lazy(() => import("./Structure"));
/** Pixels that a slice is sent with: more than most screens show, and still sent in a moment. */
const SIZE = { width: 1200, height: 1200 };

/** A recorded scan: pick it, look into it, set the steps by one slice, run, open the result. */
export function DeskPage(): ReactElement {
  const desk = useDesk();
  const { error } = usePolled(api.health, 5000);
  const [ended, setEnded] = useState<string | null>(null);
  const name = desk.file?.slice(desk.file.lastIndexOf("/") + 1);
  useEffect(() => { document.title = `${name ?? "Recorded scans"} · firstlight`; }, [name]);
  return (
    <div className="run-page desk-page">
      <header className="top"><Brand /><h1>Reconstruct a recorded scan</h1></header>
      {error !== null && <Banner tone="bad" title="No connection to the service." testid="no-service">Runs go on without it; what you have set stays here. Trying again…</Banner>}
      <div className="desk-body">
        <aside className="desk-files" aria-label="Scan">
          <FilePicker chosen={desk.file} onChoose={desk.choose} turn={ended} />
          <ScanCard desk={desk} />
        </aside>
        {/* another file is another job: nothing of the old one stays */}
        <Work key={desk.file ?? ""} desk={desk} onEnded={setEnded} />
      </div>
    </div>
  );
}

/** The centre that a step found, in pixels of the detector: kept when the user takes it over, and true for any binning. */
function useFound(job: Job | null, slice: Slice): number | null {
  const last = useRef<number | null>(null);
  const from = job && centerOf(job)?.from;
  const bin = job ? binOf(job) : 1;
  const now = slice.told && !slice.busy && from ? resultOf(slice.told.values, from) : null;
  useEffect(() => { if (now !== null) last.current = (now + 0.5) * bin - 0.5; }, [now, bin]);
  return now ?? (last.current === null ? null : (last.current + 0.5) / bin - 0.5);
}

function Work({ desk, onEnded }: { desk: Desk; onEnded: (run: string) => void }): ReactElement {
  const { job, setJob, about, file } = desk;
  const { operators, mistake: noOperators } = useOperators();
  const [row, setRow] = useState<number | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [tab, setTab] = useState("slice");
  const [opened, setOpened] = useState<string | null>(null);
  const looked = about && isResult(about) ? file : null;
  const result = opened ?? looked;
  const shownTab = looked && tab === "slice" ? "result" : tab;
  // eslint-disable-next-line react-hooks/exhaustive-deps -- another result is another picture
  const resultStill = useMemo(() => new Still(), [result]);
  const shown = chosen !== null && job && hasStep(job, chosen.split(".")[0] ?? "") ? chosen : null;
  const asked = useMemo(() => (job ? { job: withoutOutputs(job), row, of: shown ?? firstShown(job, operators), index: [] } : null), [job, row, shown, operators]);
  const slice = useSlice(asked, SIZE);
  const found = useFound(job, slice);
  const displays = useDisplays();
  const columns = Math.floor((sizeAlong(about, "col") ?? 2048) / (job ? binOf(job) : 1));
  const name = asked?.of ?? null;
  const display = displays(name ?? "");
  const openResult = (path: string): void => {
    setOpened(path);
    setTab("result");
  };
  const tabs = [
    { id: "slice", label: hasProjections(about) || !about ? "Slice" : "Preview", content: job
      ? <SlicePanel job={job} onJob={setJob} slice={slice} shown={name} onShow={setChosen} row={row} onRow={setRow} columns={columns} found={found} display={display} />
      : <Empty desk={desk} /> },
    { id: "structure", label: "Structure", content: <StructureOf desk={desk} /> },
    { id: "result", label: "Result", content: result
      ? <ResultPanel key={result} path={result} still={resultStill} size={SIZE} display={displays("result")} />
      : <p className="empty">The result can be opened here once a run has ended.</p> },
  ];
  return (
    <>
      <main className="desk-main"><ErrorBoundary what="This part"><Tabs tabs={tabs} chosen={shownTab} onChoose={setTab} label="Scan" /></ErrorBoundary></main>
      <aside className="side desk-side" aria-label="Steps">
        {job && (
          <>
            {hasProjections(about) && <QuickPanel job={job} onJob={setJob} rows={sizeAlong(about, "row")} angles={sizeAlong(about, "angle")} />}
            <StepList job={job} onJob={setJob} suggested={desk.suggested} operators={operators} mistake={noOperators} values={slice.told?.values ?? {}} shown={name?.split(".")[0] ?? null} onShow={setChosen} />
          </>
        )}
        {job && tab === "slice" && !slice.line && <ContrastPanel key={name} name={humanName(name ?? "slice")} stream={slice.still} display={display} linked={false} onLink={null} />}
        {result && shownTab === "result" && <ContrastPanel key={result} name="result" stream={resultStill} display={displays("result")} linked={false} onLink={null} />}
        {job && <RunPanel job={job} onJob={setJob} run={desk.run} onRun={desk.setRun} onResult={openResult} onEnded={onEnded} />}
      </aside>
    </>
  );
}

/** Why there is nothing to see yet, where people look for it. */
function Empty({ desk }: { desk: Desk }): ReactElement {
  const { file, mistake, about } = desk;
  if (file === null) return <p className="empty" data-testid="no-file">Choose a scan under Files: an HDF5 or TIFF file, or a folder of images.</p>;
  const said = mistake ?? (about?.problem ? { message: about.problem, problems: [] } : null);
  if (!said) return <p className="empty">Reading the file…</p>;
  return (
    <div className="empty" data-testid="scan-mistake">
      <h2>{file.slice(file.lastIndexOf("/") + 1)} can not be {mistake ? "opened" : "reconstructed as it is"}</h2>
      <Mistakes message={pageWords(said.message)} problems={said.problems.map(pageWords)} />
      {about?.problem && <p>If you know what is missing, say it under the list of files, in <em>Correct or complete this</em>.</p>}
    </div>
  );
}

function StructureOf({ desk }: { desk: Desk }): ReactElement {
  if (desk.file === null) return <p className="empty">Choose a scan under Files.</p>;
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
  const others = without(fieldsOf(job["only"]), "row");
  return Object.keys(others).length > 0 ? { ...rest, only: others } : rest;
}

/** What the job writes; of an object with a phase, the phase: it is what people look for. */
function firstShown(job: Job, operators: Map<string, Plugin>): string | null {
  const name = sinkStep(job);
  const signature = operators.get(stepsOf(job).find((s) => nameOf(s) === name)?.use ?? "")?.signature ?? "";
  return name !== null && /[ ,]phase: y x/.test(signature) ? `${name}.phase` : name;
}
