import { type ReactElement, useMemo, useRef, useState } from "react";
import { viewAddress } from "../api/client";
import type { RunDetail, RunState, ViewInfo } from "../api/types";
import { ENDED } from "../api/types";
import { Icon, IconButton, Slider } from "../ui";
import { formatLength } from "../units/format";
import { Crosshair } from "./Crosshair";
import { DetectorOverlay } from "./DetectorOverlay";
import { ImageCanvas } from "./ImageCanvas";
import { ColorBar, Quality, Readout, ScaleBar, StreamNote } from "./ImageParts";
import { ModeLabels, isBeside } from "./ModeLabels";
import { BinnedTag, PatternNote, PatternPlace, PatternTags } from "./PatternParts";
import { type Detectors, isPattern, isScanImage } from "./detectors";
import type { Display } from "./display";
import { type ViewportControl, useCalmFrame, useSize, useViewport } from "./hooks";
import { PlacesOverlay, placesOn } from "./places";
import { type Planes, axisColor } from "./planes";
import { OldPart, pointOf } from "./scan";
import type { ViewStream } from "./stream";
import { rowOverColumn } from "./viewport";

export interface ViewProps {
  run: string;
  state: RunState;
  detail: RunDetail;
  info: ViewInfo;
  /** Short name, unique in this run: "xy". */
  name: string;
  stream: ViewStream | null;
  display: Display;
  planes: Planes;
  detectors: Detectors;
  crosshair: boolean;
  active: boolean;
  large: boolean;
  onActivate: () => void;
  onLarge: () => void;
}

const UNKNOWN = [1, 1];
const NOWHERE: number[] = [];

/** Any 2-D result: image, crosshair, colour bar and its own small toolbar. */
export function ImageView(props: ViewProps): ReactElement {
  const { info, name, stream, display, planes, state } = props;
  const box = useRef<HTMLDivElement>(null);
  const size = useSize(box);
  const frame = useCalmFrame(stream, 200);
  const header = frame?.header ?? null;
  const [height, width] = header?.full_shape ?? info.shape?.slice(-2) ?? UNKNOWN;
  const full = useMemo(() => [height ?? 1, width ?? 1], [height, width]);
  const pixel = (header?.pixel_size ?? info.pixel_size)?.slice(-2) ?? null;
  const [chosen, setIndex] = useState<number[] | null>(null);
  const lengths = info.shape?.slice(0, -2).join(" ") ?? "";
  const middle = useMemo(() => (lengths === "" ? NOWHERE : lengths.split(" ").map((n) => Math.floor(Number(n) / 2))), [lengths]);
  const beside = isBeside(info);
  const index = chosen ?? middle;
  const placed = placesOn(info, props.detail.views);
  const [dots, setDots] = useState(false);
  const { ratio, exact } = rowOverColumn(full, pixel);
  const control = useViewport(full, size, ratio);
  const [at, setAt] = useState<{ row: number; column: number } | null>(null);
  const locked = ENDED.has(state);
  const pick = (row: number, column: number): void => {
    const moves: Record<string, number> = {};
    [row, column].forEach((value, i) => {
      const path = info.follows[info.axes.slice(-2)[i] ?? ""];
      if (path) moves[path] = value;
    });
    if (!locked) planes.move(moves);
  };
  return (
    <article className={`tile ${props.active ? "active" : ""} ${props.large ? "large" : ""}`} onPointerDownCapture={props.onActivate} onFocusCapture={props.onActivate}>
      <header>
        <Title {...props} frameId={header?.id ?? null} />
        <div className="tile-tags">
          <BinnedTag info={info} detail={props.detail} detectors={props.detectors} />
          <PatternTags info={info} planes={planes} disabled={locked} />
          {header && <Quality header={pointOf(info, planes) ? { ...header, coverage: 1 } : header} exact={exact} />}
        </div>
        <Tools {...props} control={control} complex={frame?.phase !== undefined}
          dots={placed && { on: dots, toggle: () => setDots((on) => !on) }} />
      </header>
      <div className="tile-body">
        <ImageCanvas name={name} label={`View ${name}`} stream={stream} display={display} full={full} index={index} beside={beside} clickPicks={isScanImage(info)} size={size}
          control={control} frameRef={box} onHover={setAt} onPick={pick}>
          {frame && <OldPart run={props.detail} info={info} view={control.view} size={size} />}
          {dots && placed && frame && <PlacesOverlay run={props.run} {...placed} frame={frame} view={control.view} size={size} />}
          {props.crosshair && frame && <Crosshair info={info} planes={planes} view={control.view} size={size} disabled={locked} />}
          {props.crosshair && frame && isPattern(info) && <DetectorOverlay detectors={props.detectors} view={control.view} size={size} />}
          {frame && beside && <ModeLabels run={props.run} info={info} views={props.detail.views} frame={frame} view={control.view} size={size} />}
          {frame && <ScaleBar view={control.view} width={size.width} info={{ pixel_size: pixel, pixel_unit: header?.pixel_unit ?? info.pixel_unit }} />}
          <Readout stream={stream} at={at} />
          <PatternNote info={info} planes={planes} detail={props.detail} frame={frame} />
          <StreamNote stream={stream} state={state} />
        </ImageCanvas>
        <ColorBar display={display} unit={header?.unit ?? info.unit} complex={frame?.phase !== undefined} empty={frame === null} />
      </div>
      <IndexSliders info={info} index={beside ? index.slice(0, -1) : index} onIndex={setIndex} />
    </article>
  );
}

/** Of a result with more axes, one plane is shown: where it lies along each axis before the last two. */
function IndexSliders({ info, index, onIndex }: { info: ViewInfo; index: number[]; onIndex: (index: number[]) => void }): ReactElement | null {
  if (index.length === 0) return null;
  return (
    <footer className="index-row number">
      {index.map((at, i) => (
        <label key={i}>{info.axes[i]} {at}
          <Slider label={`Position along ${info.axes[i]}`} value={at} min={0} max={(info.shape?.[i] ?? 1) - 1} testid={`index-${info.axes[i]}`}
            onChange={(value) => onIndex(index.map((old, j) => (j === i ? value : old)))} />
        </label>
      ))}
    </footer>
  );
}

/** "xy at z 128 · 83 µm": the plane that does not lie in the image tells where the image lies. */
function Title({ info, name, planes, detail, frameId }: ViewProps & { frameId: number | null }): ReactElement {
  const across = Object.entries(info.follows).find(([axis]) => !info.axes.includes(axis));
  const plane = planes.find(across?.[1]);
  return (
    <h2 title={`${info.step}.${info.output}`}>
      {name}
      <PatternPlace info={info} planes={planes} detail={detail} frameId={frameId} />
      {!plane && frameId !== null && !pointOf(info, planes) && <span className="number"><em>frame {frameId}</em></span>}
      {plane && (
        <span className="number" style={{ color: axisColor(plane.axis) }}>
          {plane.axis} {plane.value}
          {plane.pixel !== null && plane.pixelUnit && <em> {formatLength(plane.value * plane.pixel, plane.pixelUnit)}</em>}
        </span>
      )}
    </h2>
  );
}

interface ToolProps extends ViewProps {
  control: ViewportControl;
  complex: boolean;
  /** Dots for the places of frames, where they are known. */
  dots: { on: boolean; toggle: () => void } | null;
}

function Tools({ run, info, name, display, control, complex, dots, large, onLarge }: ToolProps): ReactElement {
  const look = (): Record<string, string> => {
    const { colorMap, inverted, levels } = display.get();
    return { colormap: colorMap, low: String(levels[0]), high: String(levels[1]), ...(inverted && { inverted: "true" }) };
  };
  const file = `${run}_${name}`;
  return (
    <div className="tools" role="toolbar" aria-label={`Tools of view ${name}`}>
      {dots && <IconButton icon="dots" label="Show where the frames were taken" pressed={dots.on} onClick={dots.toggle} data-testid={`places-${name}`} />}
      <IconButton icon="minus" className="zoom" label="Zoom out (−)" disabled={control.whole} onClick={() => control.zoom(1 / 1.5)} />
      <IconButton icon="plus" className="zoom" label="Zoom in (+)" onClick={() => control.zoom(1.5)} data-testid={`zoom-in-${name}`} />
      <IconButton icon="fit" label="Show all (0)" disabled={control.whole} onClick={control.reset} />
      <details className="menu" onBlur={(e) => { if (!e.currentTarget.contains(e.relatedTarget)) e.currentTarget.open = false; }}>
        <summary className="icon-button" title="Download this image" aria-label={`Download view ${name}`} role="button"><Icon name="download" /></summary>
        <div className="menu-list">
          <a href={viewAddress(run, info.name, "png")} download={`${file}.png`} data-testid={`png-${name}`}
            onClick={(e) => { e.currentTarget.href = viewAddress(run, info.name, "png", look()); }}>{complex ? "PNG of the magnitude" : "PNG, as coloured here"}</a>
          <a href={viewAddress(run, info.name, "tiff")} download={`${file}.tiff`} data-testid={`tiff-${name}`}>TIFF, values as float32</a>
          <a href={viewAddress(run, info.name, "npy")} download={`${file}.npy`}>NPY, for Python</a>
        </div>
      </details>
      <IconButton icon={large ? "small" : "full"} label={large ? "Back to all views (Esc)" : "Full screen (f)"} pressed={large} onClick={onLarge} data-testid={`full-${name}`} />
    </div>
  );
}
