/** The planes that a user can move: which parameter moves which axis, where it stands and how far it may go. */
import { useCallback, useEffect, useMemo, useState } from "react";
import type { Json, RunDetail } from "../api/types";
import { readFields } from "../forms/schema";

export interface Plane {
  /** The axis that it moves along: "z" for the plane xy. */
  axis: string;
  /** `step.parameter`. */
  path: string;
  value: number;
  min: number;
  max: number;
  /** Length of one pixel along the axis. */
  pixel: number | null;
  pixelUnit: string | null;
  /** Given by another step, so that it cannot be dragged before it is taken over. */
  held: boolean;
  /** Nobody chose a place: the newest point of the scan is shown. */
  newest: boolean;
}

/** Every plane that some view of the run follows, z first (that is the one most used). */
export function findPlanes(run: RunDetail): Plane[] {
  const found = new Map<string, Plane>();
  for (const view of run.views) {
    for (const [axis, path] of Object.entries(view.follows)) {
      const plane = found.has(path) ? null : describePlane(run, axis, path);
      if (plane) found.set(path, plane);
    }
  }
  return [...found.values()].sort((a, b) => (a.axis < b.axis ? 1 : -1));
}

function describePlane(run: RunDetail, axis: string, path: string): Plane | null {
  const dot = path.lastIndexOf(".");
  const step = run.steps.find((s) => s.name === path.slice(0, dot));
  if (!step) return null;
  const name = path.slice(dot + 1);
  const field = readFields(step.schema).find((f) => f.name === name);
  const extent = findExtent(run, axis, path);
  const max = Math.min(field?.maximum ?? Infinity, extent.length === null ? Infinity : extent.length - 1);
  const min = field?.minimum ?? 0;
  if (!Number.isFinite(max)) return null;
  const given = step.values[name];
  const value = typeof given === "number" ? given : Math.floor((min + max) / 2);
  const newest = typeof given !== "number" && axis.startsWith("scan_");
  return { axis, path, value, min, max: Math.max(min, max), pixel: extent.pixel, pixelUnit: extent.unit, held: name in step.held, newest };
}

/** How long an axis is: told by any view that lies along it, best by one that follows the same parameter. */
function findExtent(run: RunDetail, axis: string, path: string): { length: number | null; pixel: number | null; unit: string | null } {
  const along = run.views.filter((v) => v.axes.includes(axis) && v.shape !== null);
  const view = along.find((v) => v.follows[axis] === path) ?? (axis.startsWith("scan_") ? undefined : along[0]);
  if (!view) return { length: null, pixel: null, unit: null };
  const at = view.axes.indexOf(axis);
  return { length: view.shape?.[at] ?? null, pixel: view.pixel_size?.[at] ?? null, unit: view.pixel_unit };
}

const stepOf = (path: string): string => path.slice(0, path.lastIndexOf("."));

/** A dragged plane stays where the hand put it until the service confirms, or 2 s have passed. */
const TRUST_MS = 2000;

export interface Planes {
  list: Plane[];
  find: (path: string | undefined) => Plane | undefined;
  move: (moves: Record<string, number>) => void;
  /** Show the newest point of the scan again. */
  release: (paths: string[]) => void;
}

export function usePlanes(run: RunDetail, drag: (changes: Record<string, Record<string, Json>>) => void): Planes {
  const [moved, setMoved] = useState<Record<string, number>>({});
  const told = useMemo(() => findPlanes(run), [run]);
  const list = useMemo(() => told.map((p) => ({ ...p, value: moved[p.path] ?? p.value, newest: p.newest && moved[p.path] === undefined })), [told, moved]);
  useEffect(() => {
    if (Object.keys(moved).length === 0) return;
    const confirmed = told.every((p) => moved[p.path] === undefined || moved[p.path] === p.value);
    const timer = setTimeout(() => setMoved({}), confirmed ? 0 : TRUST_MS);
    return () => clearTimeout(timer);
  }, [moved, told]);
  const move = useCallback((moves: Record<string, number>) => {
    const changes: Record<string, Record<string, Json>> = {};
    const places: Record<string, number> = {};
    // a point has a line and a place in it: whoever chooses one has chosen both
    const both = told.filter((p) => p.newest && Object.keys(moves).some((path) => stepOf(path) === stepOf(p.path)));
    for (const [path, wanted] of Object.entries({ ...Object.fromEntries(both.map((p) => [p.path, p.value])), ...moves })) {
      const plane = told.find((p) => p.path === path);
      if (!plane || plane.held) continue;
      const value = Math.min(plane.max, Math.max(plane.min, Math.round(wanted)));
      const dot = path.lastIndexOf(".");
      changes[path.slice(0, dot)] = { ...changes[path.slice(0, dot)], [path.slice(dot + 1)]: value };
      places[path] = value;
    }
    if (Object.keys(places).length === 0) return;
    setMoved((old) => ({ ...old, ...places }));
    drag(changes);
  }, [told, drag]);
  const release = useCallback((paths: string[]) => {
    const changes: Record<string, Record<string, Json>> = {};
    for (const path of paths) changes[stepOf(path)] = { ...changes[stepOf(path)], [path.slice(path.lastIndexOf(".") + 1)]: null };
    setMoved((old) => Object.fromEntries(Object.entries(old).filter(([path]) => !paths.includes(path))));
    drag(changes);
  }, [drag]);
  const find = useCallback((path: string | undefined) => list.find((p) => p.path === path), [list]);
  return useMemo(() => ({ list, find, move, release }), [list, find, move, release]);
}

export const axisColor = (axis: string): string => (["x", "y", "z"].includes(axis) ? `var(--axis-${axis})` : "var(--axis-other)");
