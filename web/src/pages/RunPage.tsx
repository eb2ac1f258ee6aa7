import { type ReactElement, useCallback, useEffect, useMemo, useState } from "react";
import { ApiError, sayError } from "../api/client";
import { type RunWatch, useParameters, useRun } from "../api/hooks";
import type { RunDetail, ViewInfo } from "../api/types";
import { ENDED } from "../api/types";
import { Banner } from "../ui";
import { humanName } from "../forms/schema";
import { COLOR_MAPS } from "../views/colormaps";
import { useDetectors } from "../views/detectors";
import { type Planes, usePlanes } from "../views/planes";
import { withSharedPoint } from "../views/scan";
import type { ViewStream } from "../views/stream";
import { MOST_SHOWN, arrangeViews, firstShown, shortNames } from "../views/table";
import { ViewGrid } from "../views/ViewGrid";
import { CountsBar } from "./CountsBar";
import { Brand } from "./HomePage";
import { NoViews } from "./NoViews";
import { RunHeader } from "./RunHeader";
import { RunSide } from "./RunSide";
import { ShortcutHelp, useShortcuts } from "./Shortcuts";
import { type Displays, useDisplays } from "./displays";
import { wordsOf } from "./states";

export function RunPage({ id }: { id: string }): ReactElement {
  const watch = useRun(id);
  const { run, error } = watch;
  useEffect(() => {
    document.title = run ? `${wordsOf(run.state).label} · ${run.name || run.id} · firstlight` : "firstlight";
  }, [run]);
  if (run) return <Loaded run={run} watch={watch} />;
  const missing = error instanceof ApiError && error.status === 404;
  return (
    <div className="run-page">
      <header className="top"><Brand /></header>
      {error !== null && <Banner tone="bad" title={missing ? `There is no run ${id}.` : "The run cannot be shown."}>{missing ? "It may belong to another service. All runs are behind the name in the corner." : sayError(error)}</Banner>}
      {error === null && <p className="empty">Loading the run…</p>}
    </div>
  );
}

function hiddenFirst(all: ViewInfo[]): ReadonlySet<string> {
  const shown = new Set(firstShown(all));
  return new Set(all.filter((view) => !shown.has(view)).map((view) => view.name));
}

/** What is looked at, and how: nothing here reaches the service. */
function useLook(run: RunDetail) {
  const all = useMemo(() => arrangeViews(withSharedPoint(run.views)), [run.views]);
  const names = useMemo(() => shortNames(run.views), [run.views]);
  const [hidden, setHidden] = useState<ReadonlySet<string> | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [large, setLarge] = useState<string | null>(null);
  const [crosshair, setCrosshair] = useState(true);
  const [tab, setTab] = useState("parameters");
  const [help, setHelp] = useState(false);
  const off = useMemo(() => hidden ?? hiddenFirst(all), [hidden, all]);
  const shown = useMemo(() => all.filter((v) => !off.has(v.name)), [all, off]);
  useFullScreen(large, setLarge);
  const active = shown.find((v) => v.name === chosen) ?? shown[0] ?? null;
  const show = (name: string, on: boolean): void => {
    const next = new Set(off);
    if (on) next.delete(name);
    else next.add(name);
    setHidden(next);
  };
  return { all, names, shown, active, setChosen, large, setLarge, crosshair, setCrosshair, tab, setTab, help, setHelp, show };
}

/** A large view takes the whole screen where the browser allows it; leaving the one leaves the other. */
function useFullScreen(large: string | null, setLarge: (view: string | null) => void): void {
  const isLarge = large !== null;
  useEffect(() => {
    if (!isLarge) return;
    const left = (): void => {
      if (!document.fullscreenElement) setLarge(null);
    };
    document.documentElement.requestFullscreen?.().catch(() => undefined);
    document.addEventListener("fullscreenchange", left);
    return () => {
      document.removeEventListener("fullscreenchange", left);
      if (document.fullscreenElement) void document.exitFullscreen().catch(() => undefined);
    };
  }, [isLarge, setLarge]);
}

export type Look = ReturnType<typeof useLook>;

function Loaded({ run, watch }: { run: RunDetail; watch: RunWatch }): ReactElement {
  const look = useLook(run);
  const displays = useDisplays();
  const parameters = useParameters(run.id);
  const planes = usePlanes(run, parameters.drag);
  const detectors = useDetectors(run, parameters.drag);
  const { streams, onStream } = useStreams();
  useShortcuts(useKeys(look, displays, planes, ENDED.has(run.state)));
  return (
    <div className="run-page">
      <RunHeader run={run} crosshair={look.crosshair} onCrosshair={() => look.setCrosshair((on) => !on)} onHelp={() => look.setHelp(true)} />
      {watch.link === "lost" && <Banner tone="warn" title="No connection to the service." testid="no-service">The run goes on without it. Trying again…</Banner>}
      <CountsBar run={run} />
      {(look.all.length > look.shown.length || look.all.length > MOST_SHOWN) && <ViewChooser look={look} />}
      <div className="run-body">
        <main>
          <ViewGrid run={run} views={look.shown} names={look.names} active={look.active?.name ?? null} large={look.large} crosshair={look.crosshair} planes={planes} detectors={detectors}
            displayOf={displays.of} onActivate={look.setChosen} onLarge={look.setLarge} onStream={onStream} empty={<NoViews run={run} />} />
        </main>
        <RunSide run={run} look={look} displays={displays} planes={planes} parameters={parameters} lines={watch.lines}
          stream={look.active ? (streams.get(look.active.name) ?? null) : null} />
      </div>
      {look.help && <ShortcutHelp onClose={() => look.setHelp(false)} />}
    </div>
  );
}

function useStreams(): { streams: ReadonlyMap<string, ViewStream>; onStream: (view: string, stream: ViewStream | null) => void } {
  const [streams, setStreams] = useState<ReadonlyMap<string, ViewStream>>(new Map());
  const onStream = useCallback((view: string, stream: ViewStream | null) => {
    setStreams((old) => {
      const next = new Map(old);
      if (stream) next.set(view, stream);
      else next.delete(view);
      return next;
    });
  }, []);
  return { streams, onStream };
}

/** Which views are shown. What most people never ask for lies behind one word. */
function ViewChooser({ look }: { look: Look }): ReactElement {
  const usual = new Set(firstShown(look.all));
  const box = (view: ViewInfo): ReactElement => (
    <label key={view.name}><input type="checkbox" className="check" checked={look.shown.includes(view)} onChange={(e) => look.show(view.name, e.target.checked)} />{humanName(look.names.get(view.name) ?? view.name)}</label>
  );
  const more = look.all.filter((view) => !usual.has(view));
  return (
    <section className="chooser" aria-labelledby="chooser-title"><h2 id="chooser-title">Views</h2>
      {look.all.filter((view) => usual.has(view)).map(box)}
      {more.length > 0 && <details><summary>more ({more.length})</summary><div>{more.map(box)}</div></details>}
    </section>
  );
}

const TABS: Record<string, string> = { p: "parameters", l: "log", d: "details" };

function useKeys(look: Look, displays: Displays, planes: Planes, ended: boolean): (key: string) => boolean {
  const { active, shown, large, setLarge, setChosen, setCrosshair, setHelp, setTab } = look;
  return useCallback((key: string): boolean => {
    const display = active ? displays.of(active) : null;
    const low = key.toLowerCase();
    const back = key !== low;
    const plane = planes.list.find((p) => p.axis === low || p.axis === `scan_${low}`);
    if (plane && !ended) planes.move({ [plane.path]: plane.value + (back ? -1 : 1) });
    else if (/^[1-9]$/.test(key) && shown[Number(key) - 1]) setChosen(shown[Number(key) - 1]?.name ?? null);
    else if (low === "f" && active) setLarge(large ? null : active.name);
    else if (key === "Escape" && large) setLarge(null);
    else if (low === "c") setCrosshair((on) => !on);
    else if (low === "a" && display) display.set({ auto: !display.get().auto });
    else if (low === "m" && display) {
      const at = COLOR_MAPS.indexOf(display.get().colorMap) + (back ? -1 : 1) + COLOR_MAPS.length;
      display.set({ colorMap: COLOR_MAPS[at % COLOR_MAPS.length] ?? "gray" });
    } else if (TABS[low]) setTab(TABS[low]);
    else if (key === "?") setHelp(true);
    else return false;
    return true;
  }, [active, shown, large, displays, planes, ended, setLarge, setChosen, setCrosshair, setHelp, setTab]);
}
