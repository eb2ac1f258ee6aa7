import { type KeyboardEvent, type PointerEvent, type ReactElement, useRef } from "react";
import type { ViewInfo } from "../api/types";
import { type Plane, type Planes, axisColor } from "./planes";
import { type Size, type Viewport, toImage, toScreen } from "./viewport";

interface Props {
  info: ViewInfo;
  planes: Planes;
  view: Viewport;
  size: Size;
  disabled: boolean;
}

/** Where the other planes cut this one. Each line can be dragged, or moved with the arrow keys. */
export function Crosshair({ info, planes, view, size, disabled }: Props): ReactElement | null {
  const [rowAxis = "", columnAxis = ""] = info.axes.slice(-2);
  const row = planes.find(info.follows[rowAxis]);
  const column = planes.find(info.follows[columnAxis]);
  const shared = { planes, view, size, disabled };
  if (row?.newest || column?.newest) return null;
  return (
    <div className="crosshair">
      {column && <Line plane={column} upright {...shared} />}
      {row && <Line plane={row} upright={false} {...shared} />}
      {row && column && !row.held && !column.held && <Middle row={row} column={column} {...shared} />}
    </div>
  );
}

type Shared = Pick<Props, "planes" | "view" | "size" | "disabled">;

/** Pointer handlers that give the image coordinates under a drag. */
function useDrag({ view, size, disabled }: Shared, onMove: (x: number, y: number) => void) {
  const dragging = useRef(false);
  return {
    onPointerDown: (event: PointerEvent<HTMLElement>): void => {
      if (event.button !== 0 || disabled) return;
      event.stopPropagation();
      event.currentTarget.setPointerCapture(event.pointerId);
      dragging.current = true;
    },
    onPointerMove: (event: PointerEvent<HTMLElement>): void => {
      const box = event.currentTarget.closest(".image")?.getBoundingClientRect();
      if (!dragging.current || !box) return;
      const [x, y] = toImage(view, size, event.clientX - box.left, event.clientY - box.top);
      onMove(Math.floor(x), Math.floor(y));
    },
    onPointerUp: (): void => { dragging.current = false; },
    onPointerCancel: (): void => { dragging.current = false; },
  };
}

function Line({ plane, upright, ...shared }: Shared & { plane: Plane; upright: boolean }): ReactElement {
  const { planes, view, size, disabled } = shared;
  const drag = useDrag(shared, (x, y) => planes.move({ [plane.path]: upright ? x : y }));
  const [x, y] = toScreen(view, size, plane.value + 0.5, plane.value + 0.5);
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -10, PageDown: 10 }[event.key];
    if (!by || disabled) return;
    event.preventDefault();
    event.stopPropagation();
    planes.move({ [plane.path]: plane.value + by * (event.shiftKey ? 10 : 1) });
  };
  return (
    <div className={`cross-line ${upright ? "upright" : "level"}`} role="slider" tabIndex={disabled ? -1 : 0} aria-orientation={upright ? "horizontal" : "vertical"}
      aria-label={`Position ${plane.axis}`} aria-valuemin={plane.min} aria-valuemax={plane.max} aria-valuenow={plane.value} aria-disabled={disabled || plane.held}
      style={{ [upright ? "left" : "top"]: `${upright ? x : y}px`, color: axisColor(plane.axis) }} onKeyDown={onKeyDown} {...drag}>
      <span>{plane.axis} {plane.value}</span>
    </div>
  );
}

/** Where both lines meet: drags both planes at once. */
function Middle({ row, column, ...shared }: Shared & { row: Plane; column: Plane }): ReactElement {
  const drag = useDrag(shared, (x, y) => shared.planes.move({ [column.path]: x, [row.path]: y }));
  const [left, top] = toScreen(shared.view, shared.size, column.value + 0.5, row.value + 0.5);
  return <div className="cross-middle" style={{ left, top }} title={`Drag to move ${column.axis} and ${row.axis}`} {...drag} />;
}
