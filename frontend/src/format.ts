/** How figures and times are written, the same as in `lineside top`. */

const NUMBER = new Intl.NumberFormat("en-GB");

export function count(value: number): string {
  return NUMBER.format(value);
}

/** So many a second. */
export function rate(value: number): string {
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  return value < 10 ? value.toFixed(1) : count(Math.round(value));
}

/** A length of time, in seconds, as one number with a unit. */
export function span(seconds: number): string {
  const units: [string, number][] = [["d", 86_400], ["h", 3_600], ["min", 60]];
  for (const [unit, length] of units) {
    if (seconds >= 2 * length) return `${Math.round(seconds / length)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

/** An age, in seconds, on a scale that begins at 0. */
export function age(seconds: number): string {
  return seconds > 0 && seconds < 9.95 ? `${seconds.toFixed(1)} s` : span(seconds);
}

export function ago(seconds: number | null): string {
  if (seconds === null) return "never";
  return seconds < 2 ? "now" : `${span(seconds)} ago`;
}

/** How long something took, in seconds. */
export function took(seconds: number | null): string {
  if (seconds === null) return "–";
  if (seconds < 0.0995) return `${(seconds * 1000).toFixed(1)} ms`;
  return seconds < 9.995 ? `${seconds.toFixed(2)} s` : `${seconds.toFixed(0)} s`;
}

export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (bytes >= 1000 && place < units.length - 1) {
    bytes /= 1000;
    place += 1;
  }
  return `${place && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[place]}`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** The time of day, where the reader is. */
export function clock(moment: Date): string {
  return `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
}

/** Date and time where the reader is; of today the time alone. */
export function when(iso: string, now: Date = new Date()): string {
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return iso;
  if (moment.toDateString() === now.toDateString()) return clock(moment);
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${clock(moment)}`;
}

/** "1 event", "2 events". */
export function many(value: number, one: string): string {
  return `${count(value)} ${one}${value === 1 ? "" : "s"}`;
}
