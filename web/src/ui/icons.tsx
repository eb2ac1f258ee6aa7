/** Line icons on a 24-grid, drawn here so that nothing is fetched. */
import type { ReactElement } from "react";

const PATHS = {
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  full: "M14 4h6v6M10 20H4v-6M20 4l-7 7M4 20l7-7",
  small: "M20 10h-6V4M4 14h6v6M14 10l7-7M10 14l-7 7",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  stop: "M7 7h10v10H7z",
  play: "M8 5l11 7-11 7z",
  again: "M4 12a8 8 0 1 0 2.5-5.8M4 4v5h5",
  back: "M15 5l-7 7 7 7",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  up: "M6 14l6-6 6 6",
  down: "M6 10l6 6 6-6",
  eye: "M2.5 12S6 6 12 6s9.5 6 9.5 6-3.5 6-9.5 6S2.5 12 2.5 12zM12 9.6v.01a2.4 2.4 0 1 0 .01 0",
  close: "M6 6l12 12M18 6L6 18",
  cross: "M12 2v7M12 15v7M2 12h7M15 12h7M12 12v.01",
  help: "M9 9a3 3 0 1 1 4.2 2.8c-.8.4-1.2 1-1.2 1.9v.6M12 17.8v.2",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.2v.2",
  good: "M5 12.5l4.5 4.5L19 7.5",
  dots: "M5 6h.01M12 5h.01M19 7h.01M6 12h.01M13 12.5h.01M18.5 13h.01M5 19h.01M12 18h.01M19 19h.01",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): ReactElement {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
