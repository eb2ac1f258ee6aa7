/** What the page of recorded scans knows: the file, its description, the job as it is being set, and one slice of it. */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { AGAIN, untilAnswered } from "../api/answered";
import { type Mistake, api, isAway, mistakeOf } from "../api/client";
import type { Description, Job, Json, Plugin, TrialHeader } from "../api/types";
import { findResult } from "../forms/StepForm";
import { Still } from "../views/still";
import { type Known, NOTHING_KNOWN, askedFor, deskPath, fileOf, keep, recall } from "./kept";

export interface Desk {
  file: string | null;
  choose: (path: string) => void;
  about: Description | null;
  mistake: Mistake | null;
  known: Known;
  /** Look at the file again, with what the user knows about it. */
  tell: (known: Known) => void;
  job: Job | null;
  setJob: (job: Job) => void;
  /** The job that the file suggests, for who wants to start over. */
  suggested: Job | null;
  /** The run that is watched. */
  run: string | null;
  setRun: (run: string | null) => void;
}

const given = ({ angles, order, values, dark }: Known): { source: Job; values: string | null } => ({
  source: { ...(angles.trim() && { angles: angles.trim() }), ...(order && { order }), ...(dark && { dark_level: Number(dark) }) },
  values: values || null,
});

/** The job of the watched run, if it is one of this file. */
async function jobOf(run: string | null, file: string): Promise<Job | null> {
  if (run === null) return null;
  const detail = await api.run(run).catch(() => null);
  return detail !== null && fileOf(detail.job) === file ? detail.job : null;
}

export function useDesk(): Desk {
  const [{ file, run }, setPlace] = useState(() => askedFor(window.location.search));
  const [about, setAbout] = useState<Description | null>(null);
  const [mistake, setMistake] = useState<Mistake | null>(null);
  const [job, show] = useState<Job | null>(null);
  const [known, setKnown] = useState<Known>(() => recall(file)?.known ?? NOTHING_KNOWN);
  const first = useRef(run);
  useEffect(() => {
    setAbout(null);
    setMistake(null);
    show(null);
    if (file === null) return;
    return untilAnswered(
      async () => {
        const found = await api.describe({ path: file, ...given(known) });
        const own = found.problem === null ? (recall(file)?.job ?? (await jobOf(first.current, file)) ?? found.job) : null;
        return { found, own };
      },
      ({ found, own }) => {
        setMistake(null);
        setAbout(found);
        show(own);
      },
      setMistake,
    );
  }, [file, known]);
  const move = useCallback((next: { file: string | null; run: string | null }) => {
    window.history.replaceState(null, "", deskPath(next.file, next.run));
    setPlace(next);
  }, []);
  const choose = useCallback((path: string) => {
    first.current = null;
    move({ file: path, run: null });
    setKnown({ ...(recall(path)?.known ?? NOTHING_KNOWN) });
  }, [move]);
  const setJob = useCallback((next: Job) => {
    if (file !== null) keep(file, { known, job: next });
    show(next);
  }, [file, known]);
  const tell = useCallback((next: Known) => {
    first.current = null;
    if (file !== null) keep(file, { known: next, job: null });
    setKnown({ ...next });
  }, [file]);
  const setRun = useCallback((next: string | null) => move({ file, run: next }), [move, file]);
  return { file, choose, about, mistake, known, tell, job, setJob, suggested: about?.problem === null ? about.job : null, run, setRun };
}

export interface Slice {
  still: Still;
  told: TrialHeader | null;
  /** True while it is a curve. */
  line: boolean;
  busy: boolean;
  /** Why there is no picture of what is set; the one before stays. */
  mistake: Mistake | null;
}

export interface Asked { job: Job; row: number | null; of: string | null; index: number[] }

/** The slice of a job, asked for again a moment after something changed; an answer that is out of date is given up. */
export function useSlice(asked: Asked | null, size: { width: number; height: number }): Slice {
  const still = useMemo(() => new Still(), []);
  const [told, setTold] = useState<TrialHeader | null>(null);
  const [line, setLine] = useState(false);
  const [busy, setBusy] = useState(false);
  const [mistake, setMistake] = useState<Mistake | null>(null);
  const text = asked ? JSON.stringify(asked) : null;
  const turn = useRef(0);
  const waiting = useRef<Promise<unknown>>(Promise.resolve());
  useEffect(() => {
    if (text === null) return;
    const mine = ++turn.current;
    let again: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      // one at a time: a slider asks far more often than slices come, and only its last word counts
      await waiting.current.catch(() => undefined);
      if (mine !== turn.current) return;
      setBusy(true);
      const answer = api.trial({ ...(JSON.parse(text) as Asked), ...size });
      waiting.current = answer;
      try {
        const header = still.put<TrialHeader>(await answer);
        setTold(header);
        setLine(header.shape.length === 1);
        setMistake(null);
      } catch (error) {
        if (mine !== turn.current) return;
        setMistake(mistakeOf(error));
        if (isAway(error)) again = setTimeout(() => void ask(), AGAIN);
      } finally {
        if (mine === turn.current) setBusy(false);
      }
    };
    const timer = setTimeout(() => void ask(), 120);
    return () => {
      clearTimeout(timer);
      clearTimeout(again);
    };
    // the size of the window is no reason to compute again
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [text, still]);
  return { still, told, line, busy, mistake };
}

/** Steps by name, with the schema of their parameters. */
export function useOperators(): { operators: Map<string, Plugin>; mistake: Mistake | null } {
  const [operators, setOperators] = useState(new Map<string, Plugin>());
  const [mistake, setMistake] = useState<Mistake | null>(null);
  useEffect(() => untilAnswered(
    api.catalogue,
    (found) => {
      setOperators(new Map(found.operators.map((o) => [o.name, o])));
      setMistake(null);
    },
    setMistake,
  ), []);
  return { operators, mistake };
}

/** The number that a step gave, if it is one. */
export function resultOf(values: Record<string, Json>, from: string | null): number | null {
  const value = from === null ? null : findResult(values, from);
  return typeof value === "number" ? value : null;
}
