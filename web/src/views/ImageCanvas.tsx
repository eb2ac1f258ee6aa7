import { type KeyboardEvent, type PointerEvent, type ReactElement, type ReactNode, useEffect, useLayoutEffect, useRef } from "react";
import type { Frame } from "../api/message";
import { colorTable } from "./colormaps";
import type { Display } from "./display";
import { type ViewportControl, useDisplay } from "./hooks";
import { type Look, Painter } from "./painter";
import type { FrameSource } from "./stream";
import { type Size, toImage, wanted } from "./viewport";

interface Props {
  name: string;
  label: string;
  stream: FrameSource | null;
  display: Display;
  full: number[];
  /** Position along the axes before the last two. */
  index: number[];
  /** Show the planes of the last axis before the image side by side. */
  beside?: boolean;
  /** A click is a choice, not only a double-click. */
  clickPicks?: boolean;
  size: Size;
  control: ViewportControl;
  frameRef: React.RefObject<HTMLDivElement>;
  onHover: (at: { row: number; column: number } | null) => void;
  onPick: (row: number, column: number) => void;
  children?: ReactNode;
}

const lookOf = (display: Display): Look => {
  const { colorMap, inverted, levels, part } = display.get();
  return { table: colorTable(colorMap, inverted), low: levels[0], high: levels[1], part };
};

/** The image itself, on a plain 2-D canvas. `data-version` and `data-id` tell which frame is drawn. */
export function ImageCanvas(props: Props): ReactElement {
  const { name, label, stream, full, index, beside = false, size, control, frameRef, children } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  usePainting(canvas, props);
  const gestures = useGestures(props);
  useWheel(frameRef, control);
  const density = window.devicePixelRatio || 1;
  useEffect(() => {
    if (stream && size.width > 1 && size.height > 1) stream.want({ ...wanted(control.view, size, full, density), index, phase: true, beside });
  }, [stream, control.view, size, full, index, beside, density]);
  return (
    <div ref={frameRef} className={`image ${control.whole ? "" : "zoomed"}`} data-testid={`view-${name}`} role="group" tabIndex={0}
      aria-label={`${label}. Plus and minus zoom, arrows pan, 0 shows all.`} {...gestures}>
      <canvas ref={canvas} aria-hidden="true" />
      {children}
    </div>
  );
}

/** Draw each frame as it comes, and again when colours, size or viewport change. */
function usePainting(canvas: React.RefObject<HTMLCanvasElement>, { stream, display, size, control, frameRef, name }: Props): void {
  const painter = useRef<Painter | null>(null);
  const place = useRef({ view: control.view, size });
  const look = useDisplay(display);
  useLayoutEffect(() => {
    place.current = { view: control.view, size };
    if (!canvas.current || size.width < 1) return;
    if (!painter.current) {
      painter.current = new Painter(canvas.current);
      // an image that lay there before its place had a size
      if (stream?.frame) painter.current.setFrame(stream.frame, lookOf(display));
    }
    painter.current.setLook(lookOf(display));
    painter.current.draw(control.view, size, window.devicePixelRatio || 1);
  }, [canvas, control.view, size, look, display, stream]);
  useEffect(() => {
    const draw = (frame: Frame): void => {
      display.offer(name, frame.header);
      painter.current?.setFrame(frame, lookOf(display));
      painter.current?.draw(place.current.view, place.current.size, window.devicePixelRatio || 1);
      frameRef.current?.setAttribute("data-version", String(frame.header.version));
      frameRef.current?.setAttribute("data-id", String(frame.header.id));
    };
    if (stream?.frame) draw(stream.frame);
    return stream?.onFrame(draw);
  }, [stream, display, name, frameRef]);
}

/** The wheel zooms about the cursor; React's own listener could not keep the page from scrolling. */
function useWheel(element: React.RefObject<HTMLDivElement>, control: ViewportControl): void {
  const zoom = control.zoom;
  useEffect(() => {
    const target = element.current;
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault();
      const box = target?.getBoundingClientRect();
      const lines = event.deltaMode === 1 ? 30 : 1;
      if (box) zoom(Math.exp(-event.deltaY * lines * 0.0018), event.clientX - box.left, event.clientY - box.top);
    };
    target?.addEventListener("wheel", onWheel, { passive: false });
    return () => target?.removeEventListener("wheel", onWheel);
  }, [element, zoom]);
}

type Gestures = Pick<React.DOMAttributes<HTMLDivElement>, "onPointerDown" | "onPointerMove" | "onPointerUp" | "onPointerLeave" | "onDoubleClick" | "onKeyDown">;

/** Screen pixels by which the pointer may move in a click. */
const CLICK = 4;

function useGestures({ control, size, clickPicks = false, onHover, onPick }: Props): Gestures {
  const last = useRef<[number, number] | null>(null);
  const pressed = useRef<[number, number] | null>(null);
  const pixelAt = (event: { clientX: number; clientY: number; currentTarget: Element }): { row: number; column: number } => {
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = toImage(control.view, size, event.clientX - box.left, event.clientY - box.top);
    return { row: Math.floor(y), column: Math.floor(x) };
  };
  const onPointerMove = (event: PointerEvent<HTMLDivElement>): void => {
    if (last.current) {
      control.pan(event.clientX - last.current[0], event.clientY - last.current[1]);
      last.current = [event.clientX, event.clientY];
    }
    onHover(pixelAt(event));
  };
  return {
    onPointerDown: (event) => {
      if (event.button !== 0 || event.target !== event.currentTarget.querySelector("canvas")) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      last.current = pressed.current = [event.clientX, event.clientY];
    },
    onPointerMove,
    onPointerUp: (event) => {
      const from = pressed.current;
      last.current = pressed.current = null;
      if (!clickPicks || !from || Math.hypot(event.clientX - from[0], event.clientY - from[1]) > CLICK) return;
      const { row, column } = pixelAt(event);
      onPick(row, column);
    },
    onPointerLeave: () => onHover(null),
    onDoubleClick: (event) => {
      const { row, column } = pixelAt(event);
      onPick(row, column);
    },
    onKeyDown: (event) => onKey(event, control),
  };
}

function onKey(event: KeyboardEvent<HTMLDivElement>, control: ViewportControl): void {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  const far = event.shiftKey ? 160 : 40;
  const acts: Record<string, () => void> = {
    "+": () => control.zoom(1.4), "=": () => control.zoom(1.4), "-": () => control.zoom(1 / 1.4), "0": control.reset, Home: control.reset,
    ArrowLeft: () => control.pan(far, 0), ArrowRight: () => control.pan(-far, 0), ArrowUp: () => control.pan(0, far), ArrowDown: () => control.pan(0, -far),
  };
  const act = acts[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}
