/** Numbers, times and names as people read them. Pure. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const RECENT_DAYS = 14;

/** A count, with separators. */
export const count = (value: number): string => WHOLE.format(value);

/** A measured number: four decimals below 1, four significant digits above; very large and very small ones in powers of ten. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined) return "n/a";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6 || size < 5e-4) return value.toExponential(2);
  if (Number.isInteger(value) || size >= 1000) return count(value);
  return size < 1 ? value.toFixed(4) : value.toPrecision(4);
}

/** A number that somebody chose (a limit, a parameter): as it was written, without padding. */
export const chosen = (value: number): string => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(7))));

export const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`;

/** A parameter or a field, as it was given. */
export function value(given: string | number | boolean | null | undefined): string {
  if (given === null || given === undefined) return "none";
  return typeof given === "number" ? chosen(given) : String(given);
}

export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  let left = size;
  while (left >= 1000 && place < units.length - 1) {
    left /= 1000;
    place += 1;
  }
  return `${place === 0 ? left : left.toPrecision(3)} ${units[place]}`;
}

export function duration(seconds: number | null): string {
  if (seconds === null) return "running";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toPrecision(2)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const latency = (microseconds: number): string => (microseconds < 1000 ? `${microseconds} µs` : `${number(microseconds / 1000)} ms`);

/** Day and minute, in UTC. */
export const instant = (iso: string): string => `${MINUTE.format(new Date(iso))} UTC`;
export const day = (iso: string): string => DAY.format(new Date(iso));

/** How long ago, within two weeks of the machine's clock; else the moment itself (a replayed year is not 13 years old). */
export function ago(iso: string, now: number = Date.now()): string {
  const seconds = (now - new Date(iso).getTime()) / 1000;
  if (seconds < -5 || seconds > RECENT_DAYS * 86_400) return MINUTE.format(new Date(iso));
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** The first characters of a digest or an id; the whole stands in its title. */
export const short = (digest: string): string => digest.replace(/^blake3:/, "").slice(0, 10);

const NAMES: Record<string, string> = {
  log_loss: "log loss",
  auc: "AUC",
  calibration_error: "calibration error",
  p99_ms: "p99 latency, ms",
  rmse: "RMSE",
  mae: "MAE",
};

/** A metric's name in words. */
export const metric = (key: string): string => NAMES[key] ?? key.replaceAll("_", " ");
