/** Tasks as the page shows them: what a push changes, where a moment stands on a line of time. Pure. */

import { clock } from "./format";
import type { EndedRuns, RunList, RunState, RunSummary, TaskHistory, TaskSummary } from "./types";

export const STATES: RunState[] = ["queued", "running", "succeeded", "failed", "cancelled", "interrupted"];

/** How a state is marked, as parts of the picture are. */
export const MARKS: Record<RunState, "good" | "idle" | "warn" | "bad" | "off"> = {
  queued: "idle",
  running: "good",
  succeeded: "good",
  failed: "bad",
  cancelled: "off",
  interrupted: "warn",
};

/** What gave rise to a run, for a table. */
export const CAUSES: Record<RunSummary["cause"], string> = {
  clock: "its schedule",
  event: "an event",
  person: "a person",
  program: "a program",
};

export const isOpen = (run: RunSummary): boolean => run.state === "queued" || run.state === "running";
export const canRetry = (run: RunSummary): boolean => !isOpen(run) && run.state !== "succeeded";

/** How far a run is, from 0 to 1; null where nobody knows. */
export function share(run: RunSummary): number | null {
  if (run.done === null || run.total === null || run.total <= 0) return null;
  return Math.min(1, Math.max(0, run.done / run.total));
}

/** Which runs a list shows. */
export interface Wanted {
  task: string | null;
  state: RunState | null;
  /** Those below this number; null for the newest. */
  before: number | null;
}

/** A list of runs, the newest first, after what was published. */
export function withRuns(list: RunList, pushes: RunSummary[], wanted: Wanted, limit: number): RunList {
  const runs = new Map(list.runs.map((run) => [run.run, run]));
  for (const push of pushes) {
    const fits =
      (wanted.task === null || push.task === wanted.task) && (wanted.state === null || push.state === wanted.state);
    // Below the last that is shown lie runs of the next page.
    const here = wanted.before === null && push.run >= (list.next_before ?? 0);
    if (!fits) runs.delete(push.run);
    else if (runs.has(push.run) || here) runs.set(push.run, push);
  }
  const sorted = [...runs.values()].sort((one, other) => other.run - one.run);
  const shown = sorted.slice(0, limit);
  return { runs: shown, next_before: sorted.length > limit ? shown.at(-1)!.run : list.next_before };
}

/** Seconds that a run has to take for anybody to have watched it. */
const WATCHED = 1;

/** The runs that run, after what was published; the last `few` that have ended stay, for whoever watched them. */
export function withRunning(known: RunSummary[], pushes: RunSummary[], few: number): RunSummary[] {
  const runs = new Map(known.map((run) => [run.run, run]));
  const last = new Map(pushes.map((push) => [push.run, push]));
  for (const push of last.values()) {
    const watched = runs.delete(push.run) && (push.seconds ?? WATCHED) >= WATCHED;
    if (push.state === "running" || watched) runs.set(push.run, push);
  }
  const running = [...runs.values()].filter((run) => run.state === "running");
  const over = [...runs.values()].filter((run) => run.state !== "running");
  return [...running, ...over.slice(-few)].sort((one, other) => one.run - other.run);
}

/** How runs went, after what was published. */
export function withEnded(history: TaskHistory, pushes: RunSummary[], limit: number): TaskHistory {
  const byTask = new Map<string, RunSummary[]>();
  for (const push of pushes) {
    if (push.ended !== null && !isOpen(push)) byTask.set(push.task, [...(byTask.get(push.task) ?? []), push]);
  }
  if (!byTask.size) return history;
  return { tasks: history.tasks.map((task) => appended(task, byTask.get(task.task) ?? [], limit)) };
}

function appended(task: EndedRuns, pushes: RunSummary[], limit: number): EndedRuns {
  if (!pushes.length) return task;
  const bars = barsOf(task);
  const all = new Map(bars.map((bar) => [bar.run, bar]));
  for (const push of pushes) {
    // One that was retried goes to the end.
    all.delete(push.run);
    all.set(push.run, { run: push.run, state: push.state, ended: push.ended!, seconds: push.seconds });
  }
  const kept = [...all.values()].slice(-limit);
  return {
    task: task.task,
    runs: kept.map((bar) => bar.run),
    states: kept.map((bar) => bar.state),
    ended: kept.map((bar) => bar.ended),
    seconds: kept.map((bar) => bar.seconds),
  };
}

/** One run in a chart of durations. */
export interface Bar {
  run: number;
  state: RunState;
  ended: string;
  seconds: number | null;
}

export function barsOf(task: EndedRuns): Bar[] {
  return task.runs.map((run, place) => ({
    run,
    state: task.states[place]!,
    ended: task.ended[place]!,
    seconds: task.seconds[place]!,
  }));
}

/** The middle one of the durations of what succeeded; null where nothing did. */
export function median(bars: Bar[]): number | null {
  const known = bars.flatMap((bar) => (bar.state === "succeeded" && bar.seconds !== null ? [bar.seconds] : []));
  known.sort((one, other) => one - other);
  const middle = known.length >> 1;
  if (!known.length) return null;
  return known.length % 2 ? known[middle]! : (known[middle - 1]! + known[middle]!) / 2;
}

/** The end of a scale that begins at 0 and holds `most`: 1, 2 or 5 times a power of ten. */
export function ceiling(most: number): number {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return power * ([1, 2, 5, 10].find((one) => one * power >= most * 0.999_999) ?? 10);
}

/** What a card says of its task, and how it is marked. */
export function standing(task: TaskSummary): { word: string; mark: "good" | "idle" | "warn" | "bad" | "off" } {
  if (task.paused !== null) return { word: "paused", mark: "off" };
  if (task.waits !== null) return { word: `waits for ${task.waits}`, mark: "warn" };
  if (task.running) return { word: task.running > 1 ? `${task.running} running` : "running", mark: "good" };
  if (task.last?.state === "failed" || task.last?.state === "interrupted") return { word: task.last.state, mark: "bad" };
  if (task.queued) return { word: "waiting", mark: "idle" };
  return { word: "idle", mark: "idle" };
}

export type Horizon = "hour" | "day" | "week";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LENGTH: Record<Horizon, number> = { hour: HOUR, day: DAY, week: 7 * DAY };

/** The shortest line of time on which the next moments of half of the tasks stand, or the longest one. */
export function fitting(next: number[], now: number): Horizon {
  const ahead = next.map((moment) => moment - now).sort((one, other) => one - other);
  const middle = ahead[(ahead.length - 1) >> 1] ?? 0;
  return middle <= LENGTH.hour ? "hour" : middle <= LENGTH.day ? "day" : "week";
}

/** One task on the line of time; places are from 0 (now) to 1. */
export interface Lane {
  name: string;
  paused: boolean;
  when: string;
  /** The next moment, in milliseconds since 1970. */
  next: number;
  dots: { at: number; place: number }[];
  /** From here to there it goes on: moments too many to be asked for, or too close to be told apart. */
  onwards: { from: number; to: number } | null;
}

/** Dots closer than this are a line. */
const APART = 0.02;

/** Tasks on the line of time, the next one first. */
export function lanes(tasks: TaskSummary[], now: number, horizon: Horizon, asked: number): Lane[] {
  const length = LENGTH[horizon];
  return tasks
    .flatMap((task): Lane[] => {
      const ahead = task.next.map((moment) => Date.parse(moment)).filter((moment) => moment > now);
      if (!ahead.length) return [];
      const places = ahead.map((at) => ({ at, place: (at - now) / length }));
      const last = places.at(-1)!.place;
      const more = task.next.length >= asked && last < 1;
      const close = places.length > 1 && (last - places[0]!.place) / (places.length - 1) < APART;
      const from = close ? places[0]!.place : last;
      return [
        {
          name: task.name,
          paused: task.paused !== null,
          when: task.when,
          next: ahead[0]!,
          dots: (close ? places.slice(0, 1) : places).filter((dot) => dot.place <= 1),
          onwards: (close || more) && from < 1 ? { from, to: more ? 1 : Math.min(1, last) } : null,
        },
      ];
    })
    .sort((one, other) => one.next - other.next || one.name.localeCompare(other.name));
}

/** Where the line of time is marked: full tens of minutes, third hours, or midnights, where the reader is. */
export function ticks(now: number, horizon: Horizon): { place: number; text: string }[] {
  const found: { place: number; text: string }[] = [];
  const moment = new Date(now);
  moment.setSeconds(0, 0);
  const step = (): void => {
    if (horizon === "hour") moment.setMinutes((Math.floor(moment.getMinutes() / 10) + 1) * 10);
    else if (horizon === "day") moment.setHours((Math.floor(moment.getHours() / 3) + 1) * 3, 0);
    else moment.setHours(24, 0);
  };
  for (step(); moment.getTime() <= now + LENGTH[horizon]; step()) {
    const place = (moment.getTime() - now) / LENGTH[horizon];
    // It would be written over "now".
    if (place > 0.09) found.push({ place, text: horizon === "week" ? DAYS.format(moment) : clock(moment).slice(0, 5) });
  }
  return found;
}

const DAYS = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric" });
