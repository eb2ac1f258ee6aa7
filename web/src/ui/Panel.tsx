import { type KeyboardEvent, type ReactElement, type ReactNode, useId } from "react";

export function Panel({ title, aside, children, testid }: { title: string; aside?: ReactNode; children: ReactNode; testid?: string }): ReactElement {
  const id = useId();
  return (
    <section className="panel" aria-labelledby={id} data-testid={testid}>
      <header><h2 id={id}>{title}</h2>{aside}</header>
      {children}
    </section>
  );
}

export interface Tab { id: string; label: ReactNode; content: ReactNode }

/** Tabs as the ARIA practices describe them: arrows move between them, Tab goes into the content. */
export function Tabs({ tabs, chosen, onChoose, label }: { tabs: Tab[]; chosen: string; onChoose: (id: string) => void; label: string }): ReactElement {
  const at = Math.max(0, tabs.findIndex((t) => t.id === chosen));
  const move = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = by && tabs[(at + by + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    onChoose(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return (
    <div className="tabs">
      <div role="tablist" aria-label={label} onKeyDown={move}>
        {tabs.map((tab, i) => (
          <button key={tab.id} id={`tab-${tab.id}`} data-testid={`tab-${tab.id}`} type="button" role="tab" aria-selected={i === at}
            tabIndex={i === at ? 0 : -1} aria-controls="tab-content" onClick={() => onChoose(tab.id)}>{tab.label}</button>
        ))}
      </div>
      <div role="tabpanel" id="tab-content" aria-labelledby={`tab-${tabs[at]?.id}`} tabIndex={0}>{tabs[at]?.content}</div>
    </div>
  );
}
