/** Which component shows what: a view is offered to the first that can show its axes. */
import type { ComponentType } from "react";
import type { ViewInfo } from "../api/types";
import { ImageView, type ViewProps } from "./ImageView";
import { LineView } from "./LineView";
import { isPattern, isScanImage } from "./detectors";
import { PlacesView, isPlaces } from "./places";

export interface ViewKind {
  name: string;
  shows: (axes: string[]) => boolean;
  Component: ComponentType<ViewProps>;
}

export const VIEW_KINDS: ViewKind[] = [
  { name: "places", shows: (axes) => isPlaces({ axes }), Component: PlacesView },
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
/** What a reconstruction of an object is looked at for, most wanted first. */
const OBJECT = ["phase", "amplitude", "object", "magnitude"];

/** What explains a reconstruction, and is not it. */
const SECONDARY: ReadonlySet<string> = new Set(["coverage", "layers", "spectrum", "spread", "background"]);

const isProbe = (view: ViewInfo): boolean => view.axes.at(-3) === "mode";

/** The views that can be shown, in the places where people look for them: slices, scan images, objects, probes, curves, patterns. */
export function arrangeViews(views: ViewInfo[]): ViewInfo[] {
  const names = shortNames(views);
  const slices = views.some((view) => ORDER.indexOf(names.get(view.name) ?? "") >= 0);
  // where a step finds object and probe, what others say of the object is a second opinion: a network beside an engine
  const engine = views.find(isProbe)?.step;
  const rank = (view: ViewInfo): number => {
    const at = ORDER.indexOf(names.get(view.name) ?? "");
    if (at >= 0) return at;
    // frames as the detector sees them, whatever the step is called
    if (isPattern(view) || (view.output === "pattern" && view.step === engine)) return slices ? ORDER.indexOf("projection") + 0.5 : (engine ? 43.7 : 30) + (view.output === "pattern" ? 0 : 0.1);
    if (isScanImage(view)) return Object.keys(view.follows).length > 0 ? 10 : 11;
    const part = OBJECT.indexOf(view.output);
    if (part >= 0 && view.axes.length === 2) return engine && view.step !== engine ? 43.5 + part * 10 : 20 + part;
    if (isPlaces(view)) return 43;
    if (view.axes.length === 1) return view.output === "error" ? 42 : view.axes[0] === "iteration" ? 44 : 50;
    if (isProbe(view)) return 41;
    return SECONDARY.has(view.output) ? 45 : 25;
  };
  return views.filter(kindOf).map((view, i) => ({ view, i })).sort((a, b) => rank(a.view) - rank(b.view) || a.i - b.i).map(({ view }) => view);
}

export const MOST_SHOWN = 6;

/** The views that are shown at first: what another view says too is left to whoever asks for it. */
export function firstShown(arranged: ViewInfo[]): ViewInfo[] {
  const told = (view: ViewInfo, output: string): boolean => arranged.some((v) => v.step === view.step && v.output === output);
  const again = (view: ViewInfo): boolean => (view.output === "object" && told(view, "phase")) || (view.axes.length === 1 && view.axes[0] === "mode");
  const slices = arranged.some((view) => /(^|\.)(xy|xz|yz)$/.test(view.name));
  return arranged.filter((view) => !again(view)).slice(0, slices ? 4 : MOST_SHOWN);
}
