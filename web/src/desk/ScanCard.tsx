import { type FormEvent, type ReactElement, useState } from "react";
import type { Description } from "../api/types";
import { Button } from "../ui";
import { formatValue } from "../units/format";
import { type Known, NOTHING_KNOWN } from "./kept";
import type { Desk } from "./useDesk";
import { factName, isResult, measureText, pageWords, sizesText } from "./words";

const VALUES = ["counts", "transmission", "attenuation"];

/** What the file says about its scan, what had to be assumed, and what the user may know better. */
export function ScanCard({ desk }: { desk: Desk }): ReactElement | null {
  const { about, mistake, file, known } = desk;
  if (file === null) return null;
  const told = JSON.stringify(known) !== JSON.stringify(NOTHING_KNOWN);
  const result = about !== null && isResult(about);
  return (
    <section className="panel scan" aria-label="Scan" data-testid="scan">
      <header><h2>{about?.name ?? file.slice(file.lastIndexOf("/") + 1)}</h2>{about && <span className="chip" title={`Read as ${about.source}`}>{about.source}</span>}</header>
      {!about && !mistake && <p className="quiet">Reading the file…</p>}
      {about && <Facts about={about} />}
      {about && about.assumptions.length > 0 && (
        <><h3>Assumed</h3><ul className="assumed" data-testid="assumptions">{about.assumptions.map((text) => <li key={text}>{pageWords(text)}</li>)}</ul></>
      )}
      {!result && (about !== null || told) && <KnownForm key={file} desk={desk} open={told || (about !== null && about.problem !== null)} />}
    </section>
  );
}

function Facts({ about }: { about: Description }): ReactElement {
  return (
    <dl className="facts number">
      {about.streams.map((s) => <div key={s.name}><dt>{factName(s.name)}</dt><dd>{sizesText(s)}<small> {s.dtype}{s.unit ? `, ${s.unit}` : ""}</small></dd></div>)}
      {about.coords.map((c) => <div key={c.name}><dt>{factName(c.name)}</dt><dd>{formatValue(c.first)} … {c.unit ? measureText(c.last, c.unit) : formatValue(c.last)}</dd></div>)}
      {about.calibration.map((m) => <div key={m.name}><dt>{factName(m.name)}</dt><dd>{measureText(m.value, m.unit)}</dd></div>)}
    </dl>
  );
}

function KnownForm({ desk, open }: { desk: Desk; open: boolean }): ReactElement {
  const [known, setKnown] = useState<Known>(desk.known);
  const set = (change: Partial<Known>): void => setKnown({ ...known, ...change });
  const look = (event: FormEvent): void => {
    event.preventDefault();
    desk.tell(known);
  };
  return (
    <details className="known" open={open}>
      <summary>Correct or complete this</summary>
      <form onSubmit={look}>
        <label>Angles<input className="input" value={known.angles} placeholder="0:180" title="A range in degrees such as 0:180, a list of numbers, or a text file with one angle on each line" data-testid="known-angles" onChange={(e) => set({ angles: e.target.value })} /></label>
        <label>Images are<select className="select" value={known.order} onChange={(e) => set({ order: e.target.value })}><option value="">as found</option><option value="projection">projections</option><option value="sinogram">sinograms</option></select></label>
        <label>Values are<select className="select" value={known.values} data-testid="known-values" onChange={(e) => set({ values: e.target.value })}><option value="">as found</option>{VALUES.map((v) => <option key={v}>{v}</option>)}</select></label>
        <label>Counts in the dark<input className="input" type="number" step="any" value={known.dark} placeholder="none given" title="What a pixel counts without light, where a scan has no dark frames" data-testid="known-dark" onChange={(e) => set({ dark: e.target.value })} /></label>
        <Button className="small" type="submit" icon="again">Look again</Button>
      </form>
    </details>
  );
}
