/** React's side of streams, displays and viewports. */
import { type RefObject, useCallback, useEffect, useLayoutEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Frame } from "../api/message";
import type { Display, DisplayState } from "./display";
import { type FrameSource, ViewStream, type StreamState } from "./stream";
import { type Size, type Viewport, fit, isWhole, panBy, zoomAt } from "./viewport";

export function useStream(run: string, view: string): ViewStream | null {
  const [stream, setStream] = useState<ViewStream | null>(null);
  useEffect(() => {
    const made = new ViewStream(run, view);
    setStream(made);
    return () => made.close();
  }, [run, view]);
  return stream;
}

const IDLE: StreamState = { link: "connecting", problem: null };
const nothing = (): (() => void) => () => undefined;

export function useStreamState(stream: FrameSource | null): StreamState {
  const subscribe = useCallback((watch: () => void) => stream?.onState(watch) ?? nothing(), [stream]);
  return useSyncExternalStore(subscribe, () => stream?.state ?? IDLE);
}

/** The newest frame, but no more often than every `pause` ms: for text beside an image, not for the image. */
export function useCalmFrame(stream: FrameSource | null, pause: number): Frame | null {
  const [frame, setFrame] = useState<Frame | null>(stream?.frame ?? null);
  useEffect(() => {
    if (!stream) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (): void => {
      timer = undefined;
      setFrame(stream.frame);
    };
    setFrame(stream.frame);
    const stop = stream.onFrame(() => (timer ??= setTimeout(show, pause)));
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [stream, pause]);
  return frame;
}

export const useDisplay = (display: Display): DisplayState => useSyncExternalStore(display.subscribe, display.get);

export function useSize(element: RefObject<HTMLElement | null>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return size;
}

export interface ViewportControl {
  view: Viewport;
  whole: boolean;
  zoom: (factor: number, px?: number, py?: number) => void;
  pan: (dx: number, dy: number) => void;
  reset: () => void;
}

/** Zoom and pan; the whole image until somebody zooms, and again when its shape changes. */
export function useViewport(full: number[], size: Size, ratio: number): ViewportControl {
  const [chosen, setChosen] = useState<Viewport | null>(null);
  const [height = 1, width = 1] = full;
  useEffect(() => setChosen(null), [height, width, ratio]);
  return useMemo(() => {
    const shape = [height, width];
    const now = (old: Viewport | null): Viewport => old ?? fit(shape, size, ratio);
    const view = now(chosen);
    const keep = (next: Viewport): Viewport | null => (isWhole(next, size, shape) ? null : next);
    return {
      view,
      whole: chosen === null,
      zoom: (factor, px = size.width / 2, py = size.height / 2) => setChosen((old) => keep(zoomAt(now(old), size, shape, factor, px, py))),
      pan: (dx, dy) => setChosen((old) => (old === null ? null : panBy(old, shape, dx, dy))),
      reset: () => setChosen(null),
    };
  }, [chosen, height, width, size, ratio]);
}
