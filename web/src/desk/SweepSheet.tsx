import { type ReactElement, useEffect, useMemo, useRef, useState } from "react";
import { type Mistake, api, mistakeOf } from "../api/client";
import { type Frame, decodeFrame } from "../api/message";
import type { Job, TrialHeader } from "../api/types";
import { Button, Dialog, Mistakes } from "../ui";
import { colorTable, paintPixels } from "../views/colormaps";
import { setValue } from "./edit";
import { type Range, valuesOf } from "./sweep";

interface Props {
  job: Job;
  /** The step whose centre is tried. */
  step: string;
  center: number;
  row: number | null;
  onTake: (center: number) => void;
  onClose: () => void;
}

/** Pixels of a tile: enough to see a double edge. */
const TILE = 320;
const ZOOMS: [number, string][] = [[1, "whole slice"], [2, "middle half"], [4, "middle quarter"]];
const GREY = colorTable("gray");

interface Tile { value: number; frame: Frame }
interface Sheet { tiles: Tile[]; best: number | null; count: number; mistake: Mistake | null }
const NOTHING: Sheet = { tiles: [], best: null, count: 0, mistake: null };

/** One slice with many centres side by side; the best by entropy is marked, and a click takes a centre over. */
export function SweepSheet({ job, step, center, row, onTake, onClose }: Props): ReactElement {
  const [range, setRange] = useState<Range>(() => ({ around: Math.round(center * 4) / 4, reach: 3, step: 0.5 }));
  const [zoom, setZoom] = useState(2);
  const sheet = useSheet(job, step, row, range, zoom);
  const levels = sheet.tiles[0]?.frame.header.levels ?? null;
  const best = sheet.best === null ? null : valuesOf(range)[sheet.best];
  const done = sheet.tiles.length;
  return (
    <Dialog title="Centres side by side" onClose={onClose}>
      <form className="sweep-range number" onSubmit={(e) => e.preventDefault()}>
        <Choice label="Around pixel" value={range.around} step={0.25} onValue={(around) => setRange({ ...range, around })} testid="sweep-around" />
        <Choice label="±" value={range.reach} step={0.5} onValue={(reach) => setRange({ ...range, reach })} testid="sweep-reach" />
        <Choice label="in steps of" value={range.step} step={0.25} onValue={(each) => setRange({ ...range, step: each })} testid="sweep-step" />
        <label>Shown <select className="select" value={zoom} onChange={(e) => setZoom(Number(e.target.value))} data-testid="sweep-zoom">{ZOOMS.map(([n, label]) => <option key={n} value={n}>{label}</option>)}</select></label>
        <span role="status" data-testid="sweep-state" data-done={sheet.count > 0 && done === sheet.count}>
          {sheet.mistake ? "" : sheet.count === 0 ? "Reconstructing…" : done < sheet.count ? `${done} of ${sheet.count}` : "Click the sharpest."}
        </span>
        {best !== undefined && best !== null && <Button className="small" icon="good" onClick={() => onTake(best)} data-testid="sweep-take-best">Take {best}, the best by entropy</Button>}
      </form>
      {sheet.mistake && <Mistakes {...sheet.mistake} />}
      <ul className="sweep-sheet" data-testid="sweep-sheet">
        {sheet.tiles.map((tile, i) => (
          <li key={tile.value}>
            <button type="button" className={i === sheet.best ? "best" : ""} onClick={() => onTake(tile.value)} data-testid={`sweep-${tile.value}`} title={`Take ${tile.value} as centre`}>
              <TilePicture frame={tile.frame} levels={levels} zoom={zoom} />
              <span className="number">{tile.value}{i === sheet.best && " best"}</span>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function Choice({ label, value, step, onValue, testid }: { label: string; value: number; step: number; onValue: (value: number) => void; testid: string }): ReactElement {
  const set = (text: string): void => {
    const given = Number(text);
    if (text !== "" && Number.isFinite(given) && given > 0) onValue(given);
  };
  return <label>{label}<input className="input" type="number" min={step} step={step} defaultValue={value} onChange={(e) => set(e.target.value)} data-testid={testid} /></label>;
}

/** The middle of a picture: 1 / zoom of it in both directions. */
function TilePicture({ frame, levels, zoom }: { frame: Frame; levels: readonly number[] | null; zoom: number }): ReactElement {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const [height = 1, width = 1] = frame.header.shape;
    const context = canvas.current?.getContext("2d");
    if (!canvas.current || !context) return;
    const [across, down] = [Math.max(1, Math.round(width / zoom)), Math.max(1, Math.round(height / zoom))];
    canvas.current.width = across;
    canvas.current.height = down;
    const image = context.createImageData(width, height);
    const [low, high] = levels ?? frame.header.range ?? [0, 1];
    paintPixels(frame.pixels, new Uint32Array(image.data.buffer), GREY, low ?? 0, high ?? 1);
    context.putImageData(image, -Math.floor((width - across) / 2), -Math.floor((height - down) / 2));
  }, [frame, levels, zoom]);
  return <canvas ref={canvas} />;
}

/** The pictures, as they come. The first answer computes all of them; the others only bring them. */
function useSheet(job: Job, step: string, row: number | null, range: Range, zoom: number): Sheet {
  const [sheet, setSheet] = useState<Sheet>(NOTHING);
  const asked = useMemo(() => {
    const values = valuesOf(range);
    return JSON.stringify({ job: setValue(job, step, "center", { sweep: values }), row, of: step, values, width: zoom * TILE, height: zoom * TILE });
  }, [job, step, row, range, zoom]);
  useEffect(() => {
    const giveUp = new AbortController();
    const { values, ...trial } = JSON.parse(asked) as { values: number[]; job: Job; row: number | null; of: string; width: number; height: number };
    const ask = async (): Promise<void> => {
      const tiles: Tile[] = [];
      try {
        for (const [i, value] of values.entries()) {
          const frame = decodeFrame(await api.trial({ ...trial, index: [i] }, giveUp.signal));
          const told = frame.header as Frame["header"] & TrialHeader;
          tiles.push({ value, frame });
          if (!giveUp.signal.aborted) setSheet({ tiles: [...tiles], best: told.best?.place ?? null, count: values.length, mistake: null });
        }
      } catch (error) {
        if (!giveUp.signal.aborted) setSheet({ ...NOTHING, mistake: mistakeOf(error) });
      }
    };
    setSheet(NOTHING);
    const timer = setTimeout(() => void ask(), 250);
    return () => {
      clearTimeout(timer);
      giveUp.abort();
    };
  }, [asked]);
  return sheet;
}
