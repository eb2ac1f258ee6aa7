import { type ReactElement, type ReactNode, useEffect, useRef } from "react";
import { IconButton } from "./Button";

/** The browser's own modal dialog: it keeps the focus inside, and Escape closes it. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }): ReactElement {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    if (shown && !shown.open) shown.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="dialog" aria-label={title} onClose={onClose} onClick={(e) => e.target === dialog.current && onClose()}>
      <header><h2>{title}</h2><IconButton icon="close" label="Close" onClick={onClose} /></header>
      <div className="dialog-body">{children}</div>
    </dialog>
  );
}
