/** Numbers, times and lengths as people read them. */

const THIN = "\u2009";
export const MINUS = "\u2212";
const NONE = "–";

/** A value with about four significant digits; powers of ten only when they help. */
export function formatValue(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined) return NONE;
  if (Number.isNaN(value)) return "no data";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e6 || size < 1e-4 ? powerOfTen(value, digits) : plain(value, digits);
  return text.replace("-", MINUS);
}

function plain(value: number, digits: number): string {
  if (Number.isInteger(value)) return String(value);
  const before = Math.floor(Math.log10(Math.abs(value))) + 1;
  return String(Number(value.toPrecision(Math.max(digits, before))));
}

function powerOfTen(value: number, digits: number): string {
  const [mantissa = "0", exponent = "0"] = value.toExponential(digits - 1).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`;
}

/** A value on a scale that spans `span`: no more decimals than can be told apart there. */
export function formatOnScale(value: number, span: number): string {
  if (!Number.isFinite(value) || !(span > 0) || Math.abs(value) >= 1e4 || span < 1e-3) return formatValue(value, 3);
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(span)));
  return String(Number(value.toFixed(decimals)) || 0).replace("-", MINUS);
}

/** A whole number with thin spaces between thousands. */
export function formatCount(n: number | null | undefined): string {
  if (n === null || n === undefined) return NONE;
  return Math.round(n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)}${THIN}${units[unit]}`;
}

/** Milliseconds below a second, seconds above. */
export function formatLatency(ms: number | null): string {
  if (ms === null) return NONE;
  return ms < 1000 ? `${ms.toFixed(0)}${THIN}ms` : `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)}${THIN}s`;
}

/** "41 s", "3 min 05 s", "2 h 10 min". */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

export function formatClock(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function formatDay(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });
}

const LENGTHS: [string, number][] = [["nm", 1e-9], ["µm", 1e-6], ["mm", 1e-3], ["m", 1]];
const SPELLINGS: Record<string, string> = { um: "µm", "μm": "µm", micron: "µm", micrometre: "µm", micrometer: "µm", millimetre: "mm", millimeter: "mm" };

/** A length in the unit that reads best: 1234 µm is "1.234 mm". Other units stay as they are. */
export function formatLength(value: number, unit: string): string {
  const name = SPELLINGS[unit] ?? unit;
  const from = LENGTHS.find(([u]) => u === name);
  if (!from) return `${formatValue(value)}${THIN}${name}`;
  const metres = Math.abs(value) * from[1];
  const best = [...LENGTHS].reverse().find(([, size]) => metres >= size) ?? from;
  return `${formatValue((value * from[1]) / best[1])}${THIN}${best[0]}`;
}

export const formatPercent = (part: number): string => `${Math.floor(Math.min(1, Math.max(0, part)) * 100)}${THIN}%`;

/** Any JSON value of a parameter or result, short enough for one line. */
export function formatAny(value: unknown): string {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "number") return formatValue(value, 6);
  if (Array.isArray(value)) {
    if (value.length <= 4) return value.map(formatAny).join(", ");
    return `${formatAny(value[0])} … ${formatAny(value.at(-1))} (${value.length} values)`;
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
