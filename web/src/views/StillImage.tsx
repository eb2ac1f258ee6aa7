import { type ReactElement, type ReactNode, useRef, useState } from "react";
import { IconButton } from "../ui";
import { ImageCanvas } from "./ImageCanvas";
import { ColorBar, Readout, ScaleBar } from "./ImageParts";
import type { Display } from "./display";
import { useCalmFrame, useSize, useViewport } from "./hooks";
import type { Still } from "./still";
import { rowOverColumn } from "./viewport";

const UNKNOWN = [1, 1];
const NOWHERE: number[] = [];
const nothing = (): void => undefined;

/** An image that was asked for, with zoom, colour bar and values under the cursor, as the views of a run have them. */
export function StillImage({ name, title, still, display, aside, children }: {
  name: string; title: ReactNode; still: Still; display: Display; aside?: ReactNode; children?: ReactNode;
}): ReactElement {
  const box = useRef<HTMLDivElement>(null);
  const size = useSize(box);
  const frame = useCalmFrame(still, 50);
  const header = frame?.header ?? null;
  const full = header?.full_shape ?? UNKNOWN;
  const pixel = header?.pixel_size?.slice(-2) ?? null;
  const control = useViewport(full, size, rowOverColumn(full, pixel).ratio);
  const [at, setAt] = useState<{ row: number; column: number } | null>(null);
  return (
    <article className="tile still">
      <header>
        <h2>{title}</h2>
        <div className="tile-tags">{aside}</div>
        <div className="tools" role="toolbar" aria-label={`Tools of ${name}`}>
          <IconButton icon="minus" label="Zoom out (−)" disabled={control.whole} onClick={() => control.zoom(1 / 1.5)} />
          <IconButton icon="plus" label="Zoom in (+)" onClick={() => control.zoom(1.5)} />
          <IconButton icon="fit" label="Show all (0)" disabled={control.whole} onClick={control.reset} />
        </div>
      </header>
      <div className="tile-body">
        <ImageCanvas name={name} label={`Image ${name}`} stream={still} display={display} full={full} index={NOWHERE} size={size} control={control} frameRef={box}
          onHover={setAt} onPick={nothing}>
          {header && <ScaleBar view={control.view} width={size.width} info={{ pixel_size: pixel, pixel_unit: header.pixel_unit }} />}
          <Readout stream={still} at={at} />
          {children}
        </ImageCanvas>
        <ColorBar display={display} unit={header?.unit ?? null} complex={frame?.phase !== undefined} empty={frame === null} />
      </div>
    </article>
  );
}
