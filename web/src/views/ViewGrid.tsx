import { type ReactElement, useEffect } from "react";
import type { RunDetail, ViewInfo } from "../api/types";
import { ErrorBoundary } from "../ui";
import type { Detectors } from "./detectors";
import type { Display } from "./display";
import { useStream } from "./hooks";
import type { Planes } from "./planes";
import type { ViewStream } from "./stream";
import { kindOf } from "./table";

interface Props {
  run: RunDetail;
  views: ViewInfo[];
  names: Map<string, string>;
  active: string | null;
  large: string | null;
  crosshair: boolean;
  planes: Planes;
  detectors: Detectors;
  displayOf: (view: ViewInfo) => Display;
  onActivate: (view: string) => void;
  onLarge: (view: string | null) => void;
  onStream: (view: string, stream: ViewStream | null) => void;
  /** What stands where a run has no views. */
  empty?: ReactElement;
}

export function ViewGrid(props: Props): ReactElement {
  const { views, run, empty } = props;
  if (views.length === 0) {
    const waiting = run.state === "starting";
    return <div className="grid-empty">{waiting ? <p>The run is starting. Its views appear here.</p> : empty}</div>;
  }
  const columns: number = views.length <= 1 ? 1 : views.length <= 4 ? 2 : 3;
  // three or five views leave a place: the first, which matters most, takes two
  const tall = views.length === 3 || views.length === 5;
  return (
    <div className={`grid ${tall ? "tall" : ""}`} style={{ gridTemplateColumns: ["1.35fr", ...Array<string>(columns - 1).fill("1fr")].map((part) => `minmax(0, ${tall ? part : "1fr"})`).join(" "), gridAutoRows: "minmax(0, 1fr)" }}>
      {views.map((info) => (
        <ErrorBoundary key={info.name} what={`The view ${props.names.get(info.name) ?? info.name}`}><Tile {...props} info={info} /></ErrorBoundary>
      ))}
    </div>
  );
}

function Tile({ info, run, names, active, large, crosshair, planes, detectors, displayOf, onActivate, onLarge, onStream }: Props & { info: ViewInfo }): ReactElement | null {
  const stream = useStream(run.id, info.name);
  useEffect(() => {
    onStream(info.name, stream);
    return () => onStream(info.name, null);
  }, [info.name, stream, onStream]);
  const Component = kindOf(info)?.Component;
  if (!Component) return null;
  return (
    <Component run={run.id} state={run.state} detail={run} detectors={detectors} info={info} name={names.get(info.name) ?? info.name} stream={stream} display={displayOf(info)} planes={planes}
      crosshair={crosshair} active={active === info.name} large={large === info.name} onActivate={() => onActivate(info.name)}
      onLarge={() => onLarge(large === info.name ? null : info.name)} />
  );
}
