import { type KeyboardEvent, type PointerEvent, type ReactElement, useRef } from "react";
import type { Detector, DetectorChange, Detectors } from "./detectors";
import { type Size, type Viewport, toImage, toScreen } from "./viewport";

const COLORS = ["var(--detector-1)", "var(--detector-2)", "var(--detector-3)"];

interface Props {
  detectors: Detectors;
  view: Viewport;
  size: Size;
}

/** Virtual detectors over a pattern: what they cover is bright, their middle and edges can be dragged, or moved with arrow keys. */
export function DetectorOverlay({ detectors, view, size }: Props): ReactElement | null {
  if (detectors.list.length === 0 || size.width < 1) return null;
  return (
    <div className="detectors" data-testid="detectors">
      <svg width={size.width} height={size.height} aria-hidden="true">
        {detectors.list.map((d, i) => <Drawing key={d.step} detector={d} color={COLORS[i % COLORS.length] ?? ""} view={view} size={size} />)}
      </svg>
      {detectors.list.map((d, i) => !d.fixed && (
        <Handles key={d.step} detector={d} color={COLORS[i % COLORS.length] ?? ""} view={view} size={size} move={(change) => detectors.move(d.step, change)} />
      ))}
    </div>
  );
}

interface Shape { detector: Detector; color: string; view: Viewport; size: Size }

/** Middle of pixel (row, column) on the screen. */
const placeOf = ({ view, size }: Pick<Shape, "view" | "size">, row: number, column: number): [number, number] => toScreen(view, size, column + 0.5, row + 0.5);

function Drawing(shape: Shape): ReactElement {
  const { detector: { center, inner, outer, ring, step }, color, view } = shape;
  const [x, y] = placeOf(shape, ...center);
  // a dark rim under each line, so that it is seen on any colour
  const circle = (radius: number): ReactElement[] => [{ stroke: "rgb(8 11 16 / 65%)", width: 4 }, { stroke: color, width: 1.5 }].map(({ stroke, width }) => (
    <ellipse key={width} cx={x} cy={y} rx={radius * view.sx} ry={radius * view.sy} fill="none" stroke={stroke} strokeWidth={width} />
  ));
  const around = (radius: number): string => {
    const [rx, ry] = [radius * view.sx, radius * view.sy];
    return `M${x - rx} ${y}a${rx} ${ry} 0 1 0 ${2 * rx} 0a${rx} ${ry} 0 1 0 ${-2 * rx} 0z`;
  };
  return (
    <g>
      <path d={around(outer) + (ring && inner > 0 ? around(inner) : "")} fill={color} fillOpacity={0.13} fillRule="evenodd" />
      {circle(outer)}
      {ring && inner > 0 && circle(inner)}
      <text x={x} y={Math.max(14, y - outer * view.sy - 6)} textAnchor="middle" fill={color}>{step}</text>
    </g>
  );
}

function Handles(shape: Shape & { move: (change: DetectorChange) => void }): ReactElement {
  const { detector: { step, center, inner, outer, ring }, move } = shape;
  const [row, column] = center;
  const radius = (x: number, y: number): number => Math.hypot(y - 0.5 - row, x - 0.5 - column);
  return (
    <>
      <Handle {...shape} at={[row, column]} kind="middle" label={`Middle of ${step}`} text={`row ${row}, column ${column}`} testid={`detector-${step}-center`}
        onDrag={(x, y) => move({ center: [y - 0.5, x - 0.5] })} onStep={(dx, dy) => move({ center: [row + dy, column + dx] })} />
      <Handle {...shape} at={[row, column + outer]} kind="edge" label={`Outer radius of ${step}`} text={`${outer} pixels`} testid={`detector-${step}-outer`}
        onDrag={(x, y) => move({ outer: radius(x, y) })} onStep={(dx, dy) => move({ outer: outer + dx - dy })} />
      {ring && (
        <Handle {...shape} at={[row, column - inner]} kind="edge" label={`Inner radius of ${step}`} text={`${inner} pixels`} testid={`detector-${step}-inner`}
          onDrag={(x, y) => move({ inner: radius(x, y) })} onStep={(dx, dy) => move({ inner: inner + dx - dy })} />
      )}
    </>
  );
}

interface HandleProps extends Shape {
  at: [number, number];
  kind: "middle" | "edge";
  label: string;
  text: string;
  testid: string;
  onDrag: (x: number, y: number) => void;
  onStep: (dx: number, dy: number) => void;
}

const STEPS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function Handle({ at, kind, label, text, testid, color, view, size, onDrag, onStep }: HandleProps): ReactElement {
  /** From the pointer to the point that it holds, so that nothing jumps when it is taken. */
  const held = useRef<[number, number] | null>(null);
  const [left, top] = placeOf({ view, size }, ...at);
  const under = (event: PointerEvent<HTMLElement>): [number, number] => {
    const box = event.currentTarget.closest(".image")?.getBoundingClientRect();
    return toImage(view, size, event.clientX - (box?.left ?? 0), event.clientY - (box?.top ?? 0));
  };
  return (
    <div className={`detector-handle ${kind}`} role="slider" tabIndex={0} aria-label={label} aria-valuetext={text} aria-valuenow={0} title={`${label}: ${text}`} data-testid={testid}
      style={{ left, top, color }}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
        const [x, y] = under(event);
        held.current = [at[1] + 0.5 - x, at[0] + 0.5 - y];
      }}
      onPointerMove={(event) => {
        if (!held.current) return;
        const [x, y] = under(event);
        onDrag(x + held.current[0], y + held.current[1]);
      }}
      onPointerUp={() => { held.current = null; }} onPointerCancel={() => { held.current = null; }}
      onKeyDown={(event: KeyboardEvent) => {
        const by = STEPS[event.key];
        if (!by) return;
        event.preventDefault();
        event.stopPropagation();
        const far = event.shiftKey ? 10 : 1;
        onStep(by[0] * far, by[1] * far);
      }} />
  );
}
