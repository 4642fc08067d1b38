// Numbers and times for people.

const NONE = "–";

export function count(value: number | null | undefined): string {
  return value == null ? NONE : value.toLocaleString("en").replaceAll(",", " ");
}

/** 940 ms, 3.2 s, 1 min 20 s, 3 h 5 min. */
export function duration(ms: number | null | undefined): string {
  if (ms == null) {
    return NONE;
  }
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  const seconds = ms / 1000;
  if (seconds < 60) {
    return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    const rest = Math.floor(seconds % 60);
    return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** Binary units, as RAM is sold. */
export function bytes(value: number | null | undefined): string {
  if (value == null) {
    return NONE;
  }
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(value >= 100 || unit === 0 ? 0 : 1)} ${units[unit]}`;
}

export function speed(tokensPerSecond: number | null | undefined): string {
  return tokensPerSecond == null ? NONE : `${tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0)} tok/s`;
}

export function percent(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : NONE;
}

export function megahertz(hertz: number): string {
  return `${Math.round(hertz / 1e6)} MHz`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** The time of day; with the date, where that is not today's. */
export function time(unixMs: number): string {
  const date = new Date(unixMs);
  const clock = CLOCK.format(date);
  return date.toDateString() === new Date().toDateString() ? clock : `${DATE.format(date)}, ${clock}`;
}

const MINUTES = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** A time on an axis, as exact as its spans of so many ms. */
export function moment(unixMs: number, span: number): string {
  const date = new Date(unixMs);
  if (span >= 86_400_000) {
    return DATE.format(date);
  }
  const clock = (span < 60_000 ? CLOCK : MINUTES).format(date);
  return date.toDateString() === new Date().toDateString() ? clock : `${DATE.format(date)}, ${clock}`;
}

/** `task/title_generation` is a title to people. */
export function className(name: string): string {
  return name.replace(/^task\//, "").replace(/_generation$/, "").replaceAll("_", " ");
}

/** Which of the colours of the charts a class has. */
export function classTone(name: string): string {
  if (!name.startsWith("task/")) {
    return name === "chat" ? "chat" : "other";
  }
  const task = className(name);
  if (task === "title" || task === "tags") {
    return "label";
  }
  return task === "follow up" ? "follow" : task === "query" || task === "autocomplete" ? "query" : "other";
}

export function median(values: number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) {
    return null;
  }
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
