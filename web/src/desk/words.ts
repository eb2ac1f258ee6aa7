/** What the service says about a scan, in the words of this page: it knows fields, not options of a command. */
import type { Description } from "../api/types";
import { formatBytes, formatLength, formatValue } from "../units/format";

const FIELDS: [RegExp, string | ((said: string, number: string) => string)][] = [
  [/a scan in a layout that 'firstlight list sources' shows, such as/g, "a scan such as"],
  [/, and --resume goes on behind it/g, ""],
  [/ \(path = '[^']*'\)/g, ""],
  [/(\d{4,}) bytes?\b/g, (_, bytes) => formatBytes(Number(bytes))],
  [/, or name the source with --set source\.use=\w+( if one of them reads it)?/g, ""],
  [/set overwrite to true( \([^)]*\))?/g, "tick “Overwrite what is there”"],
  [/--angles (\S+?)(?=[);,]|\s|$)/g, "“Angles”: $1"],
  [/--values (\w+)/g, "“Values are”: $1"],
  [/\(order: (\w+)\)/g, "(“Images are”: $1s)"],
  [/--set source\.dark_level(=\w+)?/g, "“Counts in the dark”"],
  [/\bdark_level\b/g, "“Counts in the dark”"],
  [/--set (\w+)\.(\w+)=('[^']*'|[^\s,;:)]+)/g, "“$2” of $1: $3"],
  [/--(angles|values)\b/g, "“$1”"],
];

/** "--angles 0:180" is a field on this page. */
export const pageWords = (text: string): string => FIELDS.reduce((said, [pattern, word]) => said.replace(pattern, word as string), text);

const MANY: Record<string, [string, string]> = {
  angle: ["projection", "projections"], row: ["row", "rows"], col: ["column", "columns"], frame: ["frame", "frames"], position: ["position", "positions"],
  scan_y: ["line", "lines"], scan_x: ["point", "points"],
};

/** "181 projections × 2 rows × 640 columns". */
export function sizesText(stream: Description["streams"][number]): string {
  return stream.axes.map((axis, i) => {
    const size = stream.sizes[i] ?? null;
    const [one, many] = MANY[axis] ?? [axis, axis];
    return axis === "yx" ? "(y, x)" : `${size ?? "?"} ${size === 1 ? one : many}`;
  }).join(" × ");
}

const NAMES: Record<string, string> = { data: "frames", dark: "darks", flat: "flats", angle: "angles", pixel: "pixel size", step_x: "step in x", step_y: "step in y" };
export const factName = (name: string): string => NAMES[name] ?? name.replace(/_/g, " ");

const UNITS: Record<string, string> = { deg: "°", um: "µm" };

/** "17 keV", "1.98 µm": in the unit that reads best. */
export function measureText(value: number, unit: string): string {
  if (unit === "eV" && value >= 1000) return `${formatValue(value / 1000)} keV`;
  return unit === "deg" ? `${formatValue(value)}°` : formatLength(value, UNITS[unit] ?? unit);
}

/** A reconstruction, and no scan: there is nothing to reconstruct in it, and something to look at. */
export const isResult = (about: Description): boolean =>
  about.problem !== null && about.streams.some((s) => s.axes.includes("x") && s.axes.includes("y") && !s.axes.some((axis) => axis in MANY));

/** Rows of projections become slices; other scans are reconstructed as a whole. */
export const hasProjections = (about: Description | null): boolean =>
  about?.streams.some((s) => s.name === "data" && s.axes.includes("angle") && s.axes.includes("row")) ?? false;

/** How many the scan has along an axis of its frames, if that is known. */
export function sizeAlong(about: Description | null, axis: string): number | null {
  const frames = about?.streams.find((s) => s.name === "data");
  return frames?.sizes[frames.axes.indexOf(axis)] ?? null;
}
