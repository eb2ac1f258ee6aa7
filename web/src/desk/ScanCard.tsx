import { type FormEvent, type ReactElement, useState } from "react";
import type { Description, Job } from "../api/types";
import { Button } from "../ui";
import { formatValue } from "../units/format";
import type { Desk } from "./useDesk";

const VALUES = ["counts", "transmission", "attenuation"];

/** What the file says about its scan, what had to be assumed, and what the user may know better. */
export function ScanCard({ desk }: { desk: Desk }): ReactElement | null {
  const { about, mistake, file } = desk;
  if (file === null) return null;
  return (
    <section className="panel scan" aria-label="Scan" data-testid="scan">
      <header><h2>{about?.name ?? "Scan"}</h2>{about && <span className="chip">{about.source}</span>}</header>
      {!about && !mistake && <p className="quiet">Reading the file…</p>}
      {mistake && <p className="mistake" role="alert" data-testid="scan-mistake">{mistake.message}</p>}
      {about && <Facts about={about} />}
      {about?.problem && <p className="mistake" role="alert" data-testid="scan-mistake">{about.problem}</p>}
      {about && about.assumptions.length > 0 && (
        <><h3>Assumed</h3><ul className="assumed" data-testid="assumptions">{about.assumptions.map((text) => <li key={text}>{text}</li>)}</ul></>
      )}
      {about && <Known desk={desk} open={about.problem !== null} />}
    </section>
  );
}

function Facts({ about }: { about: Description }): ReactElement {
  return (
    <dl className="facts number">
      {about.streams.map((s) => <div key={s.name}><dt>{s.name}</dt><dd>{s.axes.map((axis, i) => `${s.sizes[i] ?? "?"} ${axis}`).join(" × ")}<small> {s.dtype}{s.unit ? `, ${s.unit}` : ""}</small></dd></div>)}
      {about.coords.map((c) => <div key={c.name}><dt>{c.name}</dt><dd>{formatValue(c.first)} … {formatValue(c.last)} {c.unit ?? ""}</dd></div>)}
      {about.calibration.map((m) => <div key={m.name}><dt>{m.name.replace(/_/g, " ")}</dt><dd>{formatValue(m.value)} {m.unit}</dd></div>)}
    </dl>
  );
}

function Known({ desk, open }: { desk: Desk; open: boolean }): ReactElement {
  const [angles, setAngles] = useState("");
  const [order, setOrder] = useState("");
  const [values, setValues] = useState("");
  const [dark, setDark] = useState("");
  const look = (event: FormEvent): void => {
    event.preventDefault();
    const source: Job = { ...(angles.trim() && { angles: angles.trim() }), ...(order && { order }), ...(dark && { dark_level: Number(dark) }) };
    desk.tell({ source, values: values || null });
  };
  return (
    <details className="known" open={open}>
      <summary>I know better</summary>
      <form onSubmit={look}>
        <label>Angles<input className="input" value={angles} placeholder="0:180" data-testid="known-angles" onChange={(e) => setAngles(e.target.value)} /></label>
        <label>Images are<select className="select" value={order} onChange={(e) => setOrder(e.target.value)}><option value="">as found</option><option value="projection">projections</option><option value="sinogram">sinograms</option></select></label>
        <label>Values are<select className="select" value={values} data-testid="known-values" onChange={(e) => setValues(e.target.value)}><option value="">as found</option>{VALUES.map((v) => <option key={v}>{v}</option>)}</select></label>
        <label>Counts in the dark<input className="input" type="number" min="0" step="any" value={dark} placeholder="if there are no darks" data-testid="known-dark" onChange={(e) => setDark(e.target.value)} /></label>
        <Button className="small" type="submit" icon="again">Look again</Button>
      </form>
    </details>
  );
}
