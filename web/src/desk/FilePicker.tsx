import { type ReactElement, useEffect, useState } from "react";
import { untilAnswered } from "../api/answered";
import { type Mistake, api } from "../api/client";
import type { Entry, Folder, Root } from "../api/types";
import { Button, Icon } from "../ui";
import { formatBytes, formatDay } from "../units/format";

interface Props {
  chosen: string | null;
  onChoose: (path: string) => void;
  /** Changes when files may have come. */
  turn: unknown;
}

const IMAGES = /\.(tiff?|edf|mrc)$/i;
const folderOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf("/")));
const isBelow = (path: string, root: string): boolean => path === root || path.startsWith(root === "/" ? root : `${root}/`);

interface Listing { roots: Root[]; folder: Folder | null; mistake: Mistake | null; open: (path: string) => void }

/** What the open folder holds; of one that can not be listed, the first root. */
function useListing(start: string | null, turn: unknown): Listing {
  const [roots, setRoots] = useState<Root[]>([]);
  const [at, setAt] = useState<string | null>(start);
  const [folder, setFolder] = useState<Folder | null>(null);
  const [mistake, setMistake] = useState<Mistake | null>(null);
  useEffect(() => untilAnswered(
    async () => {
      const found = await api.roots();
      // a folder that was chosen as a scan may be a root itself: what lies above is not ours to see
      const place = at !== null && found.some((root) => isBelow(at, root.path)) ? at : (found[0]?.path ?? null);
      return { found, listed: place === null ? null : await api.folder(place) };
    },
    ({ found, listed }) => {
      setRoots(found);
      setFolder(listed);
      setMistake(null);
    },
    setMistake,
  ), [at, turn]);
  return { roots, folder, mistake, open: setAt };
}

/** Folders and files below the roots of the service. A folder of images is a scan as well. */
export function FilePicker({ chosen, onChoose, turn }: Props): ReactElement {
  const { roots, folder, mistake, ...listing } = useListing(chosen === null ? null : folderOf(chosen), turn);
  const [filter, setFilter] = useState("");
  const open = (path: string): void => {
    setFilter("");
    listing.open(path);
  };
  const shown = (folder?.entries ?? []).filter((e) => e.name.toLowerCase().includes(filter.toLowerCase()));
  return (
    <section className="panel picker" aria-label="Files">
      <header><h2>Files</h2>{folder && folder.entries.some((e) => IMAGES.test(e.name)) && <Button className="small" onClick={() => onChoose(folder.path)} title="All images of this folder are one scan">Use this folder</Button>}</header>
      {roots.length > 1 && (
        <select className="select" aria-label="Root" value={roots.find((r) => folder && isBelow(folder.path, r.path))?.path ?? ""} onChange={(e) => open(e.target.value)}>
          {roots.map((root) => <option key={root.path} value={root.path}>{root.name}</option>)}
        </select>
      )}
      <p className="place number" title={folder?.path}><bdi>{folder?.path}</bdi></p>
      {mistake && <p className="mistake" role="alert">{mistake.message}</p>}
      {(folder?.entries.length ?? 0) > 12 && <input className="input" aria-label="Find in this folder" placeholder="find in this folder" value={filter} onChange={(e) => setFilter(e.target.value)} />}
      <ul className="entries" data-testid="entries">
        {folder?.parent && <li><button type="button" title={folder.parent} aria-label="The folder above" onClick={() => open(folder.parent ?? "")}><Icon name="back" />..</button></li>}
        {shown.map((entry) => <Row key={entry.path} entry={entry} chosen={entry.path === chosen} onOpen={() => (entry.kind === "folder" ? open(entry.path) : onChoose(entry.path))} />)}
        {folder && folder.entries.length === 0 && <li className="quiet">This folder is empty.</li>}
        {folder && folder.entries.length > 0 && shown.length === 0 && <li className="quiet">Nothing here has “{filter}” in its name.</li>}
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
