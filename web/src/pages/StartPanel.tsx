import { type DragEvent, type ReactElement, useRef, useState } from "react";
import { type Mistake, api, mistakeOf } from "../api/client";
import { Button, Mistakes } from "../ui";
import { EXAMPLE, readJob } from "./job";
import { go, runPath } from "./route";

/** Start a run from a job that is pasted, dropped or chosen. */
export function StartPanel({ onStarted }: { onStarted: () => void }): ReactElement {
  const [text, setText] = useState("");
  const [refusal, setRefusal] = useState<Mistake | null>(null);
  const [busy, setBusy] = useState(false);
  const chooser = useRef<HTMLInputElement>(null);
  const take = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    if (file.size > 1 << 20) return setRefusal({ message: `${file.name} has ${file.size} bytes: that is no job file.`, problems: [] });
    setText(await file.text());
    setRefusal(null);
  };
  const start = async (): Promise<void> => {
    const read = readJob(text);
    if ("mistake" in read) return setRefusal({ message: read.mistake, problems: [] });
    setBusy(true);
    try {
      const run = await api.start(read.job);
      onStarted();
      go(runPath(run.id));
    } catch (error) {
      setRefusal(mistakeOf(error));
    } finally {
      setBusy(false);
    }
  };
  const onDrop = (event: DragEvent): void => {
    event.preventDefault();
    void take(event.dataTransfer.files[0]);
  };
  return (
    <section className="start" aria-labelledby="start-title" onDragOver={(e) => e.preventDefault()} onDrop={onDrop}>
      <h1 id="start-title">Start a run</h1>
      <label className="hidden-text" htmlFor="job">Job, as YAML or JSON</label>
      <textarea id="job" className="area" rows={16} spellCheck={false} value={text} data-testid="job" aria-invalid={refusal !== null}
        placeholder={"Paste a job (YAML or JSON), or drop a job file here.\n\nsource: {use: …}\nsteps:\n  - {use: …}"}
        onChange={(e) => setText(e.target.value)} />
      {refusal && <Mistakes {...refusal} testid="job-mistakes" />}
      <div className="start-buttons">
        <Button tone="main" icon="play" disabled={busy} onClick={() => void start()} data-testid="start">{busy ? "Starting…" : "Start"}</Button>
        <Button icon="file" onClick={() => chooser.current?.click()}>Choose a file…</Button>
        <Button tone="plain-text" onClick={() => setText(EXAMPLE)}>Insert an example</Button>
        <input ref={chooser} type="file" accept=".yaml,.yml,.json" hidden data-testid="job-file" onChange={(e) => void take(e.target.files?.[0])} />
      </div>
    </section>
  );
}
