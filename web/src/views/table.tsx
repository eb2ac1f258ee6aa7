/** Which component shows what: a view is offered to the first that can show its axes. */
import type { ComponentType } from "react";
import type { ViewInfo } from "../api/types";
import { ImageView, type ViewProps } from "./ImageView";
import { LineView } from "./LineView";

export interface ViewKind {
  name: string;
  shows: (axes: string[]) => boolean;
  Component: ComponentType<ViewProps>;
}

export const VIEW_KINDS: ViewKind[] = [
  { name: "image", shows: (axes) => axes.length >= 2, Component: ImageView },
  { name: "line", shows: (axes) => axes.length === 1, Component: LineView },
];

export const kindOf = (info: ViewInfo): ViewKind | undefined => VIEW_KINDS.find((kind) => kind.shows(info.axes));

/** "slices.xy" is called "xy" where no other view ends like that. */
export function shortNames(views: ViewInfo[]): Map<string, string> {
  const last = (name: string): string => name.split(/[./]/).at(-1) || name;
  const times = new Map<string, number>();
  for (const view of views) times.set(last(view.name), (times.get(last(view.name)) ?? 0) + 1);
  return new Map(views.map((v) => [v.name, times.get(last(v.name)) === 1 ? last(v.name) : v.name]));
}

/** So that x lines up under xy and xz, and z beside xz and yz. */
const ORDER = ["xy", "projection", "xz", "yz"];

/** The views that can be shown, slices and projection first, in the places where people look for them. */
export function arrangeViews(views: ViewInfo[]): ViewInfo[] {
  const names = shortNames(views);
  const rank = (view: ViewInfo): number => {
    const at = ORDER.indexOf(names.get(view.name) ?? "");
    if (at >= 0) return at;
    // frames as the detector sees them, whatever the step is called
    return view.axes.slice(-2).join(" ") === "row col" ? ORDER.indexOf("projection") + 0.5 : ORDER.length;
  };
  return views.filter(kindOf).map((view, i) => ({ view, i })).sort((a, b) => rank(a.view) - rank(b.view) || a.i - b.i).map(({ view }) => view);
}
