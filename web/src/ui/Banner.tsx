import type { ReactElement, ReactNode } from "react";
import { Icon, type IconName } from "./icons";

export type Tone = "good" | "busy" | "warn" | "bad" | "calm";

const ICONS: Partial<Record<Tone, IconName>> = { bad: "warning", warn: "warning", good: "good" };

/** A message across the page. What is wrong is said in words; the colour only repeats it. */
export function Banner({ tone, title, children, action, testid }: {
  tone: Tone; title: string; children?: ReactNode; action?: ReactNode; testid?: string;
}): ReactElement {
  const icon = ICONS[tone];
  return (
    <div className={`banner ${tone}`} role={tone === "bad" ? "alert" : "status"} data-testid={testid}>
      {icon && <Icon name={icon} />}
      <div className="banner-text"><strong>{title}</strong>{children && <span>{children}</span>}</div>
      {action}
    </div>
  );
}

export function Chip({ tone = "calm", children, title, testid }: { tone?: Tone; children: ReactNode; title?: string; testid?: string }): ReactElement {
  return <span className={`chip ${tone}`} title={title} data-testid={testid}>{children}</span>;
}
