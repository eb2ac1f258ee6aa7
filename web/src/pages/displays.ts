/** Which display (colours and levels) a view has: its group's while linked, else its own. */
import { useCallback, useRef, useState } from "react";
import type { ViewInfo } from "../api/types";
import type { ColorMapName } from "../views/colormaps";
import { Display } from "../views/display";

/** Views that can share colours: planes through one volume, which cut each other. A phase and an amplitude of one step have nothing in common. */
export const groupOf = (view: Pick<ViewInfo, "name" | "step" | "unit" | "follows" | "axes">): string =>
  `${Object.keys(view.follows).some((axis) => !view.axes.includes(axis)) ? view.step : view.name} in ${view.unit ?? "no unit"}`;

/** Counts of a detector are seen best in colours; slices and phases in gray, as they always were. */
const usualColors = (view: ViewInfo): ColorMapName => (view.axes.slice(-2).join(" ") === "row col" && view.output !== "projection" && view.step !== "projection" ? "inferno" : "gray");

export interface Displays {
  of: (view: ViewInfo) => Display;
  isLinked: (view: ViewInfo) => boolean;
  link: (view: ViewInfo, linked: boolean) => void;
}

export function useDisplays(): Displays {
  const made = useRef(new Map<string, Display>());
  const [apart, setApart] = useState<ReadonlySet<string>>(new Set());
  const isLinked = useCallback((view: ViewInfo) => !apart.has(view.step), [apart]);
  const of = useCallback((view: ViewInfo): Display => {
    const shared = groupOf(view);
    const key = apart.has(view.step) ? `${view.name} alone` : shared;
    const known = made.current.get(key);
    if (known) return known;
    // a view that leaves its group goes on with the group's colours
    const display = new Display(made.current.get(shared)?.get() ?? { colorMap: usualColors(view) });
    made.current.set(key, display);
    return display;
  }, [apart]);
  const link = useCallback((view: ViewInfo, linked: boolean) => {
    setApart((old) => {
      const next = new Set(old);
      if (linked) next.delete(view.step);
      else next.add(view.step);
      return next;
    });
  }, []);
  return { of, isLinked, link };
}
