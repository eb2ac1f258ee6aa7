/** How views are coloured: colour map and contrast, shared by the views of one step while they are linked. */
import type { FrameHeader } from "../api/types";
import type { ColorMapName } from "./colormaps";

export type Levels = [number, number];

export interface DisplayState {
  colorMap: ColorMapName;
  inverted: boolean;
  auto: boolean;
  levels: Levels;
  /** Of complex values: both (hue and brightness), or one of them. */
  part: Part;
}

export type Part = "both" | "amplitude" | "phase";

/** Automatic levels follow when they differ by more than this part of their span: the picture must not flicker. */
const CALM = 0.04;

export class Display {
  private state: DisplayState;
  private readonly offers = new Map<string, Levels>();
  private readonly watchers = new Set<() => void>();

  constructor(state: Partial<DisplayState> = {}) {
    this.state = { colorMap: "gray", inverted: false, auto: true, levels: [0, 1], part: "both", ...state };
  }

  get = (): DisplayState => this.state;

  subscribe = (watch: () => void): (() => void) => {
    this.watchers.add(watch);
    return () => this.watchers.delete(watch);
  };

  set(change: Partial<DisplayState>): void {
    const turnedOn = change.auto === true && !this.state.auto;
    this.state = { ...this.state, ...change };
    if (turnedOn) this.state.levels = this.automatic() ?? this.state.levels;
    for (const watch of this.watchers) watch();
  }

  /** Take the levels that a new image of view `view` suggests. */
  offer(view: string, header: Pick<FrameHeader, "levels" | "range">): void {
    const levels = usableLevels(header);
    if (!levels) return;
    this.offers.set(view, levels);
    if (!this.state.auto) return;
    const next = this.automatic();
    if (next && differ(this.state.levels, next)) this.set({ levels: next });
  }

  /** The span that holds the suggested levels of every view that shares this display. */
  private automatic(): Levels | null {
    const all = [...this.offers.values()];
    if (all.length === 0) return null;
    return [Math.min(...all.map((l) => l[0])), Math.max(...all.map((l) => l[1]))];
  }
}

/** The 0.5 and 99.5 percentiles; the whole range when they coincide; nothing when all is NaN. */
export function usableLevels({ levels, range }: Pick<FrameHeader, "levels" | "range">): Levels | null {
  for (const pair of [levels, range]) {
    if (Array.isArray(pair) && Number.isFinite(pair[0]) && Number.isFinite(pair[1]) && pair[1] > pair[0]) return [pair[0], pair[1]];
  }
  const value = range?.[0];
  return typeof value === "number" && Number.isFinite(value) ? [value - 0.5, value + 0.5] : null;
}

export function differ(old: Levels, next: Levels): boolean {
  const span = Math.max(Math.abs(next[1] - next[0]), Number.MIN_VALUE);
  return Math.max(Math.abs(old[0] - next[0]), Math.abs(old[1] - next[1])) > CALM * span;
}
