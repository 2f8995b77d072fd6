/** Figures over time: the last hour from the gateway, or what this page has seen where the gateway keeps none. */

import type { Overview } from "./types";

/** As the gateway answers `/api/v1/history`. `at` is in epoch seconds; each list is as long as `at`. */
export interface History {
  every: number;
  at: number[];
  sources: Record<string, (number | null)[]>;
  routes: Record<string, (number | null)[]>;
  lag: Record<string, (number | null)[]>;
  dead_letters: (number | null)[];
}

export interface Line {
  name: string;
  values: (number | null)[];
}

const KEPT = 1_800;

/** Return a history with one more look at the gateway, and without the oldest where it grows too long. */
export function seen(before: History | null, overview: Overview, every: number): History {
  const old = before ?? { every, at: [], sources: {}, routes: {}, lag: {}, dead_letters: [] };
  const length = old.at.length;
  const append = (
    lists: Record<string, (number | null)[]>,
    now: [string, number | null][],
  ): Record<string, (number | null)[]> => {
    const latest = new Map(now);
    const names = new Set([...Object.keys(lists), ...latest.keys()]);
    return Object.fromEntries(
      [...names].map((name) => [
        name,
        [...(lists[name] ?? new Array<null>(length).fill(null)), latest.get(name) ?? null].slice(-KEPT),
      ]),
    );
  };
  return {
    every,
    at: [...old.at, Date.parse(overview.at) / 1000].slice(-KEPT),
    sources: append(old.sources, overview.sources.map((one) => [one.id, one.rate])),
    routes: append(old.routes, overview.routes.map((one) => [one.id, one.rate_minute])),
    lag: append(old.lag, overview.routes.map((one) => [one.id, one.oldest ?? 0])),
    dead_letters: [...old.dead_letters, overview.dead_letters].slice(-KEPT),
  };
}

/** Return at most `most` lines: the largest ones, and the sum of the others as the last. */
export function largest(lists: Record<string, (number | null)[]>, most: number): Line[] {
  const lines = Object.entries(lists).map(([name, values]) => ({ name, values }));
  if (lines.length <= most) return lines;
  const weight = (line: Line): number => line.values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const ranked = [...lines].sort((one, other) => weight(other) - weight(one));
  const others = ranked.slice(most - 1);
  const sum = (others[0]?.values ?? []).map((_, place) =>
    others.reduce<number>((total, line) => total + (line.values[place] ?? 0), 0),
  );
  return [...ranked.slice(0, most - 1), { name: `${others.length} others`, values: sum }];
}

/** Return the last value that is one. */
export function latest(values: (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

export function highest(lines: Line[]): number {
  return Math.max(0, ...lines.flatMap((line) => line.values.map((value) => value ?? 0)));
}
