import { type ReactElement, useEffect } from "react";
import { Dialog } from "../ui";

const LIST: [string, string][] = [
  ["wheel, + −", "zoom the view under the cursor, or the focused one"],
  ["drag, ← ↑ → ↓", "pan a zoomed view"],
  ["0", "show the whole view again"],
  ["drag a line", "move a slice; focused lines move with arrows, Shift ×10"],
  ["double-click", "move both slices to this point"],
  ["click", "on a scan image: show the pattern of this point"],
  ["drag a ring", "on a pattern: move a virtual detector; Tab and arrows do it too"],
  ["z  x  y", "next slice along this axis; with Shift the one before"],
  ["1 … 9", "choose a view"],
  ["f", "chosen view to the full screen, and back"],
  ["c", "crosshair on or off"],
  ["a", "automatic contrast on or off"],
  ["m", "next colour map; Shift: the one before"],
  ["p  l  d", "parameters, log, details"],
  ["Esc", "back to all views"],
  ["?", "this list"],
];

export function ShortcutHelp({ onClose }: { onClose: () => void }): ReactElement {
  return (
    <Dialog title="Keys and gestures" onClose={onClose}>
      <dl className="shortcuts">{LIST.map(([keys, what]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{what}</dd></div>)}</dl>
    </Dialog>
  );
}

/** Keys that work anywhere on the page, except where somebody types. */
export function useShortcuts(onKey: (key: string) => boolean): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const typing = target.closest("textarea, select, dialog, input:not([type=checkbox]):not([type=range])");
      if (typing && event.key !== "Escape") return;
      if (onKey(event.key)) event.preventDefault();
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, [onKey]);
}
