import { describe, expect, test } from "vitest";
import { taskChannels } from "../src/channels";
import { barsOf, ceiling, fitting, lanes, median, share, standing, ticks, withEnded, withRunning, withRuns } from "../src/tasks";
import type { RunList, RunSummary, TaskSummary } from "../src/types";

const run = (number: number, more: Partial<RunSummary> = {}): RunSummary => ({
  run: number, task: "count", state: "succeeded", cause: "person", caller: "", key: null, attempt: 1,
  asked: "2026-12-01T06:00:00.000Z", due: "2026-12-01T06:00:00.000Z", started: "2026-12-01T06:00:00.000Z",
  ended: "2026-12-01T06:00:01.000Z", seconds: 1, done: null, total: null, message: null, error: null, ...more,
});
const task: TaskSummary = {
  name: "count", runs: "yard:count", when: "", description: "", next: [], paused: null, waits: null, queued: 0,
  running: 0, succeeded: 0, failed: 0, cancelled: 0, interrupted: 0, skipped: 0, last: null, punctuality: null,
};
const all = { task: null, state: null, before: null };
const numbers = (list: RunList): number[] => list.runs.map((one) => one.run);

describe("a list of runs", () => {
  const list: RunList = { runs: [run(9), run(7), run(5)], next_before: 5 };

  test("takes new ones, changes those it has, and stays as long as it may be", () => {
    const later = withRuns(list, [run(10, { state: "running" }), run(7, { state: "queued" }), run(11)], all, 4);
    expect(numbers(later)).toEqual([11, 10, 9, 7]);
    expect(later.runs[3]!.state).toBe("queued");
    expect(later.next_before).toBe(7);
  });

  test("leaves runs of the next page to the next page", () => {
    expect(numbers(withRuns(list, [run(4, { state: "queued" })], all, 10))).toEqual([9, 7, 5]);
    expect(numbers(withRuns({ ...list, next_before: null }, [run(4)], all, 10))).toEqual([9, 7, 5, 4]);
  });

  test("further back gets no new ones", () => {
    const before = withRuns(list, [run(10), run(7, { state: "failed" })], { ...all, before: 10 }, 10);
    expect(numbers(before)).toEqual([9, 7, 5]);
    expect(before.runs[1]!.state).toBe("failed");
  });

  test("of one state or task loses what has another one now", () => {
    const failed: RunList = { runs: [run(9, { state: "failed" }), run(7, { state: "failed" })], next_before: null };
    const wanted = { ...all, state: "failed" as const };
    expect(numbers(withRuns(failed, [run(9, { state: "queued" }), run(10, { state: "failed" })], wanted, 10))).toEqual([10, 7]);
    expect(numbers(withRuns(list, [run(10, { task: "other" })], { ...all, task: "count" }, 10))).toEqual([9, 7, 5]);
  });
});

describe("what runs", () => {
  test("stays when it has ended, and what came and went at once was never there", () => {
    const before = [run(3, { state: "running" })];
    const after = withRunning(before, [run(5, { state: "running" }), run(4, { state: "running" }), run(5), run(3)], 6);
    expect(after.map((one) => [one.run, one.state])).toEqual([[3, "succeeded"], [4, "running"]]);
    const ended = [9, 7, 8].map((number) => run(number));
    expect(withRunning(before, [run(3, { seconds: 0.2 })], 6)).toEqual([]);
    const many = withRunning(ended.map((one) => ({ ...one, state: "running" as const })), ended, 2);
    expect(many.map((one) => one.run)).toEqual([7, 8]);
  });

  test("is as far as its function says", () => {
    expect([share(run(1)), share(run(1, { done: 1 })), share(run(1, { done: 1, total: 4 }))]).toEqual([null, null, 0.25]);
    expect([share(run(1, { done: 9, total: 4 })), share(run(1, { done: 0, total: 0 }))]).toEqual([1, null]);
  });
});

describe("durations", () => {
  const history = { tasks: [{ task: "count", runs: [1, 2], states: [], ended: ["", ""], seconds: [1, 2] }, { task: "other", runs: [], states: [], ended: [], seconds: [] }] };

  test("grow by those that end, the oldest go, and one that was retried is the newest", () => {
    const told = withEnded(history, [run(3, { state: "failed", seconds: 3 }), run(1, { seconds: 4 }), run(5, { ended: null, state: "running" })], 2);
    expect([told.tasks[0]!.runs, told.tasks[0]!.seconds]).toEqual([[3, 1], [3, 4]]);
    expect(told.tasks[1]!.runs).toEqual([]);
    expect(withEnded(history, [run(5, { ended: null, state: "queued" })], 2)).toBe(history);
  });

  test("have a middle one, of those that succeeded", () => {
    const bars = (seconds: number[]) => barsOf({ task: "count", runs: seconds, states: seconds.map(() => "succeeded" as const), ended: seconds.map(() => ""), seconds });
    expect([median(bars([])), median(bars([3, 1, 2])), median(bars([4, 1, 2, 3]))]).toEqual([null, 2, 2.5]);
    expect(median(bars([3]).map((bar) => ({ ...bar, state: "failed" as const })))).toBeNull();
  });

  test("stand on a scale with a round end", () => {
    expect([0, 0.003, 1, 1.2, 4.1, 31, 99].map(ceiling)).toEqual([1, 0.005, 1, 2, 5, 50, 100]);
  });
});

describe("a card", () => {
  test("says first what keeps a task from running", () => {
    expect(standing(task).word).toBe("idle");
    expect(standing({ ...task, queued: 2 }).word).toBe("waiting");
    expect(standing({ ...task, last: run(1, { state: "failed" }) })).toEqual({ word: "failed", mark: "bad" });
    expect(standing({ ...task, running: 2, last: run(1, { state: "failed" }) }).word).toBe("2 running");
    expect(standing({ ...task, waits: "the ERP", running: 0 })).toEqual({ word: "waits for the ERP", mark: "warn" });
    expect(standing({ ...task, paused: "…", running: 1 })).toEqual({ word: "paused", mark: "off" });
  });
});

describe("the line of time", () => {
  const now = Date.parse("2026-12-01T06:00:00.000Z");
  const at = (...minutes: number[]): string[] => minutes.map((one) => new Date(now + one * 60_000).toISOString());

  test("has the next task first, and neither moments that have passed nor tasks without one", () => {
    const found = lanes([{ ...task, name: "b", next: at(-1, 30, 90) }, { ...task, name: "a", next: at(6) }, task], now, "hour", 24);
    expect(found.map((lane) => [lane.name, lane.dots.map((dot) => dot.place)])).toEqual([["a", [0.1]], ["b", [0.5]]]);
  });

  test("goes on where more moments lie ahead than were asked for, and is a line where they are too close", () => {
    const [lane] = lanes([{ ...task, next: at(10, 20, 30) }], now, "hour", 3);
    expect([lane!.dots.length, lane!.onwards]).toEqual([3, { from: 0.5, to: 1 }]);
    expect(lanes([{ ...task, next: at(10, 20, 30) }], now, "hour", 4)[0]!.onwards).toBeNull();
    const [dense] = lanes([{ ...task, next: at(6, 6.5, 7) }], now, "hour", 3);
    expect([dense!.dots.length, dense!.onwards]).toEqual([1, { from: 0.1, to: 1 }]);
  });

  test("is as long as half of the tasks need", () => {
    const hours = (...all: number[]): number[] => all.map((one) => now + one * 3_600_000);
    expect([fitting([], now), fitting(hours(0.5, 0.9, 30), now)]).toEqual(["hour", "hour"]);
    expect([fitting(hours(5), now), fitting(hours(0.1, 5, 30, 200), now), fitting(hours(30, 40), now)]).toEqual(["day", "day", "week"]);
  });

  test("is marked where the reader's clock is round", () => {
    const hour = ticks(now + 60_000, "hour");
    expect(hour.map((tick) => tick.text.slice(3))).toEqual(["10", "20", "30", "40", "50", "00"]);
    expect(hour[0]!.place).toBeCloseTo(9 / 60);
    expect(ticks(now, "day").length).toBeGreaterThanOrEqual(7);
    expect(ticks(now, "week").length).toBe(7);
  });
});

test("tasks are told in channels of their own, unless they are too many", () => {
  expect(taskChannels(["a", "b"])).toEqual(["tasks:a", "tasks:b"]);
  expect(taskChannels(Array.from({ length: 101 }, (_, place) => `${place}`))).toEqual([]);
});
