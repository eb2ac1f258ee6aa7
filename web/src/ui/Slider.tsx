import type { CSSProperties, ReactElement } from "react";

interface Props {
  label: string;
  value: number;
  min: number;
  max: number;
  step?: number | "any";
  /** A colour of theme.css for the part that is passed. */
  color?: string;
  onChange: (value: number) => void;
  disabled?: boolean;
  testid?: string;
  text?: string;
}

export function Slider({ label, value, min, max, step = 1, color = "var(--brand)", onChange, disabled, testid, text }: Props): ReactElement {
  const part = max > min ? ((value - min) / (max - min)) * 100 : 0;
  const style = { "--part": `${part}%`, "--slider": color } as CSSProperties;
  return (
    <input type="range" className="slider" aria-label={label} aria-valuetext={text} style={style} data-testid={testid}
      min={min} max={max} step={step} value={value} disabled={disabled} onChange={(e) => onChange(e.target.valueAsNumber)} />
  );
}
