/** React's side of the service: what a page needs to know, kept fresh. */
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, api, eventsPath, sayError } from "./client";
import { NewestSender } from "./newest";
import { type Link, SteadySocket } from "./socket";
import type { Json, LogLine, RunDetail, RunEvent } from "./types";

/** Ask again every `period` ms while the page is visible; the last good answer stays when a call fails. */
export function usePolled<T>(ask: () => Promise<T>, period: number): { value: T | null; error: unknown; again: () => void } {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let gone = false;
    const once = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const answer = await ask();
        if (gone) return;
        setValue(() => answer);
        setError(null);
      } catch (problem) {
        if (!gone) setError(problem);
      }
    };
    void once();
    const timer = setInterval(() => void once(), period);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [ask, period, turn]);
  return { value, error, again: useCallback(() => setTurn((n) => n + 1), []) };
}

const KEPT_LINES = 2000;

/** Add lines that are not there yet, in order, and keep the newest. */
export function addLines(old: LogLine[], more: LogLine[]): LogLine[] {
  const last = old.at(-1)?.n ?? -1;
  const fresh = more.filter((line) => line.n > last);
  return fresh.length === 0 ? old : [...old, ...fresh].slice(-KEPT_LINES);
}

export interface RunWatch {
  run: RunDetail | null;
  error: unknown;
  link: Link;
  lines: LogLine[];
}

/** Follow one run by its events; the first answer and the log so far come by REST. */
export function useRun(id: string): RunWatch {
  const [run, setRun] = useState<RunDetail | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [link, setLink] = useState<Link>("connecting");
  const [lines, setLines] = useState<LogLine[]>([]);
  useEffect(() => {
    let gone = false;
    let socket: SteadySocket | null = null;
    const load = async (): Promise<void> => {
      try {
        const [detail, log] = await Promise.all([api.run(id), api.log(id, 0)]);
        if (gone) return;
        setRun(detail);
        setError(null);
        setLines((old) => addLines(old, log.lines));
      } catch (problem) {
        // a run that is unknown or forbidden will not come by waiting; a service that is away may
        if (!gone) setError(problem);
        if (problem instanceof ApiError && [401, 403, 404].includes(problem.status)) socket?.close();
      }
    };
    const onMessage = (data: string | ArrayBuffer): void => {
      const event = typeof data === "string" ? (JSON.parse(data) as RunEvent) : null;
      if (event?.type === "status") {
        socket?.well();
        setRun(event.run);
        setError(null);
      }
      if (event?.type === "log") setLines((old) => addLines(old, [event.line]));
    };
    const onOpen = (): void => {
      socket?.send({ token: null });
      void load();
    };
    socket = new SteadySocket(eventsPath(id), { onOpen, onMessage, onLink: setLink });
    void load();
    return () => {
      gone = true;
      socket.close();
    };
  }, [id]);
  return { run, error, link, lines };
}

type Changes = Record<string, Record<string, Json>>;

/** Two sets of changes as one; of the same parameter the newer value holds. */
export function mergeChanges(older: Changes, newer: Changes): Changes {
  const merged = { ...older };
  for (const [step, values] of Object.entries(newer)) merged[step] = { ...merged[step], ...values };
  return merged;
}

export interface Setter {
  /** Change parameters now; refusals come back as ApiError. */
  set: (changes: Changes) => Promise<{ epoch: number; id: number }>;
  /** Change them as often as the service keeps up: for what is dragged. */
  drag: (changes: Changes) => void;
  /** Why the last dragged change was refused. */
  refused: string | null;
}

export function useParameters(id: string): Setter {
  const [refused, setRefused] = useState<string | null>(null);
  const sender = useRef<NewestSender<Changes> | null>(null);
  const set = useCallback(async (changes: Changes) => {
    const from = await api.set(id, changes);
    setRefused(null);
    return from;
  }, [id]);
  useEffect(() => {
    sender.current = new NewestSender<Changes>(
      (changes) => set(changes).then(() => undefined, (error: unknown) => setRefused(sayError(error))),
      60,
      mergeChanges,
    );
  }, [set]);
  const drag = useCallback((changes: Changes) => sender.current?.push(changes), []);
  return { set, drag, refused };
}
