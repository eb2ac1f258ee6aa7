/** What the page of recorded scans knows: the file, its description, the job as it is being set, and one slice of it. */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ApiError, api, sayError } from "../api/client";
import type { Description, Job, Json, Plugin, TrialHeader } from "../api/types";
import { Still } from "../views/still";

export interface Mistake { message: string; problems: string[] }

export const mistakeOf = (error: unknown): Mistake => ({ message: sayError(error), problems: error instanceof ApiError ? error.problems : [] });

export interface Desk {
  file: string | null;
  choose: (path: string) => void;
  about: Description | null;
  mistake: Mistake | null;
  /** Look at the file again, with what the user knows about it. */
  tell: (known: { source?: Job; values?: string | null }) => void;
  job: Job | null;
  setJob: (job: Job) => void;
}

const askedFor = (): string | null => new URLSearchParams(window.location.search).get("file") || null;

export function useDesk(): Desk {
  const [file, setFile] = useState<string | null>(askedFor);
  const [about, setAbout] = useState<Description | null>(null);
  const [mistake, setMistake] = useState<Mistake | null>(null);
  const [job, setJob] = useState<Job | null>(null);
  const [known, setKnown] = useState<{ source?: Job; values?: string | null }>({});
  useEffect(() => {
    let gone = false;
    setAbout(null);
    setMistake(null);
    setJob(null);
    if (file === null) return;
    api.describe({ path: file, ...known }).then(
      (found) => {
        if (gone) return;
        setAbout(found);
        setJob(found.problem === null ? found.job : null);
      },
      (error: unknown) => { if (!gone) setMistake(mistakeOf(error)); },
    );
    return () => { gone = true; };
  }, [file, known]);
  const choose = useCallback((path: string) => {
    window.history.replaceState(null, "", `?file=${encodeURIComponent(path)}`);
    setKnown({});
    setFile(path);
  }, []);
  return { file, choose, about, mistake, tell: setKnown, job, setJob };
}

export interface Slice {
  still: Still;
  told: TrialHeader | null;
  /** True while it is a curve. */
  line: boolean;
  busy: boolean;
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
        if (mine === turn.current) setMistake(mistakeOf(error));
      } finally {
        if (mine === turn.current) setBusy(false);
      }
    };
    const timer = setTimeout(() => void ask(), 120);
    return () => clearTimeout(timer);
    // the size of the window is no reason to compute again
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [text, still]);
  return { still, told, line, busy, mistake };
}

/** Steps by name, with the schema of their parameters. */
export function useOperators(): Map<string, Plugin> {
  const [known, setKnown] = useState(new Map<string, Plugin>());
  useEffect(() => {
    let gone = false;
    const load = (): void => {
      api.catalogue().then((found) => { if (!gone) setKnown(new Map(found.operators.map((o) => [o.name, o]))); }, () => { if (!gone) setTimeout(load, 3000); });
    };
    load();
    return () => { gone = true; };
  }, []);
  return known;
}

/** A result by `step.output` or `step`, as numbers of a slice tell it. */
export function resultOf(values: Record<string, Json>, from: string | null): number | null {
  if (from === null) return null;
  const key = from in values ? from : Object.keys(values).find((k) => k.startsWith(`${from}.`));
  const value = key === undefined ? null : values[key];
  return typeof value === "number" ? value : null;
}
