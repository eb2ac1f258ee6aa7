import { type ReactElement, useEffect, useRef, useState } from "react";
import type { LogLine } from "../api/types";
import { formatClock } from "../units/format";

const isBad = (level: string): boolean => /^(error|critical|fatal)/i.test(level);
const isWarning = (level: string): boolean => /^warn/i.test(level);

/** The run's own words, newest at the end; stays at the end unless somebody scrolls up. */
export function LogPanel({ lines }: { lines: LogLine[] }): ReactElement {
  const [worst, setWorst] = useState(false);
  const list = useRef<HTMLOListElement>(null);
  const stick = useRef(true);
  const shown = worst ? lines.filter((l) => isBad(l.level) || isWarning(l.level)) : lines;
  useEffect(() => {
    if (stick.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [shown.length]);
  return (
    <div className="log" data-testid="log">
      <label><input type="checkbox" className="check" checked={worst} onChange={(e) => setWorst(e.target.checked)} />warnings and errors only</label>
      <ol ref={list} tabIndex={0} aria-label="Log of the run" onScroll={(e) => {
        const { scrollTop, scrollHeight, clientHeight } = e.currentTarget;
        stick.current = scrollHeight - scrollTop - clientHeight < 30;
      }}>
        {shown.map((line) => (
          <li key={line.n} className={isBad(line.level) ? "bad" : isWarning(line.level) ? "warn" : ""}>
            <time className="number">{formatClock(line.at)}</time><b>{isBad(line.level) || isWarning(line.level) ? line.level.toUpperCase() : ""}</b><span>{line.text}</span>
          </li>
        ))}
        {shown.length === 0 && <li className="quiet">{worst ? "No warnings." : "Nothing was said yet."}</li>}
      </ol>
    </div>
  );
}

export const countWarnings = (lines: LogLine[]): number => lines.filter((l) => isBad(l.level) || isWarning(l.level)).length;
