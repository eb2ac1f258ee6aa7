import { type ReactElement, useEffect, useState } from "react";
import { api, sayError } from "../api/client";
import type { Entry, Folder, Root } from "../api/types";
import { Button, Icon } from "../ui";
import { formatBytes, formatDay } from "../units/format";

interface Props { chosen: string | null; onChoose: (path: string) => void }

const IMAGES = /\.(tiff?|edf|mrc)$/i;
const folderOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf("/")));

/** Folders and files below the roots of the service. A folder of images is a scan as well. */
export function FilePicker({ chosen, onChoose }: Props): ReactElement {
  const [roots, setRoots] = useState<Root[]>([]);
  const [at, setAt] = useState<string | null>(chosen === null ? null : folderOf(chosen));
  const [folder, setFolder] = useState<Folder | null>(null);
  const [mistake, setMistake] = useState<string | null>(null);
  const [filter, setFilter] = useState("");
  useEffect(() => {
    api.roots().then((found) => {
      setRoots(found);
      setAt((old) => old ?? found[0]?.path ?? null);
    }, (error: unknown) => setMistake(sayError(error)));
  }, []);
  useEffect(() => {
    let gone = false;
    if (at === null) return;
    api.folder(at).then((found) => { if (!gone) { setFolder(found); setMistake(null); } }, (error: unknown) => { if (!gone) setMistake(sayError(error)); });
    return () => { gone = true; };
  }, [at]);
  const open = (path: string): void => {
    setFilter("");
    setAt(path);
  };
  const shown = (folder?.entries ?? []).filter((e) => e.name.toLowerCase().includes(filter.toLowerCase()));
  return (
    <section className="panel picker" aria-label="Files">
      <header><h2>Files</h2>{folder && folder.entries.some((e) => IMAGES.test(e.name)) && <Button className="small" onClick={() => onChoose(folder.path)} title="This folder of images is one scan">Use this folder</Button>}</header>
      {roots.length > 1 && (
        <select className="select" aria-label="Root" value={roots.find((r) => at?.startsWith(r.path))?.path ?? ""} onChange={(e) => open(e.target.value)}>
          {roots.map((root) => <option key={root.path} value={root.path}>{root.name}</option>)}
        </select>
      )}
      <p className="place number" title={folder?.path}><bdi>{folder?.path}</bdi></p>
      {mistake && <p className="mistake" role="alert">{mistake}</p>}
      {(folder?.entries.length ?? 0) > 12 && <input className="input" aria-label="Find in this folder" placeholder="find in this folder" value={filter} onChange={(e) => setFilter(e.target.value)} />}
      <ul className="entries" data-testid="entries">
        {folder?.parent && <li><button type="button" onClick={() => open(folder.parent ?? "")}><Icon name="back" />..</button></li>}
        {shown.map((entry) => <Row key={entry.path} entry={entry} chosen={entry.path === chosen} onOpen={() => (entry.kind === "folder" ? open(entry.path) : onChoose(entry.path))} />)}
        {folder && folder.entries.length === 0 && <li className="quiet">This folder is empty.</li>}
        {(folder?.left_out ?? 0) > 0 && <li className="quiet">{folder?.left_out} more are not listed.</li>}
      </ul>
    </section>
  );
}

function Row({ entry, chosen, onOpen }: { entry: Entry; chosen: boolean; onOpen: () => void }): ReactElement {
  return (
    <li>
      <button type="button" className={chosen ? "chosen" : ""} aria-current={chosen} onClick={onOpen} data-testid={`entry-${entry.name}`} title={`${entry.name}, ${formatDay(entry.modified)}`}>
        <Icon name={entry.kind === "folder" ? "right" : "file"} /><span>{entry.name}</span>
        {entry.bytes !== null && <small className="number">{formatBytes(entry.bytes)}</small>}
      </button>
    </li>
  );
}
