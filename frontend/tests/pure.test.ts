import { describe, expect, test } from "vitest";
import { age, ago, many, rate, size, span, took, when } from "../src/format";
import { highest, largest, latest, seen } from "../src/history";
import { indented, occurrences } from "../src/jsontext";
import { curve, pace, routeStanding, sourceStanding, targetStanding } from "../src/picture";
import type { Overview, RouteView, SourceView, TargetView } from "../src/types";

const target: TargetView = {
  id: "erp", state: "open", in_use: 0, limit: 4, p50: null, p99: null, paced: null, problem: null, paused: false,
};
const route: RouteView = {
  id: "checkin", target: "erp", rate_minute: 2, waiting: 0, more: false, oldest: null, dead_letters: 0,
  problem: null, paused: false,
};
const source: SourceView = {
  id: "gate", address: "", connections: 1, rate: 3, rate_minute: 2, undecodable_minute: 0, devices: 1, silent: [],
  silent_for: 0, last_seen: null, commit_p50: null, commit_p99: null, paused: false, files_waiting: null,
};

describe("figures", () => {
  test("are written as in lineside top", () => {
    expect([0, 0.04, 0.14, 9.96, 1234.5].map(rate)).toEqual(["0", "<0.1", "0.1", "10.0", "1,235"]);
    expect([0, 119, 120, 7_300, 200_000].map(span)).toEqual(["0 s", "119 s", "2 min", "2 h", "2 d"]);
    expect([null, 1.2, 60].map(ago)).toEqual(["never", "now", "60 s ago"]);
    expect([null, 0.0123, 1.5, 31].map(took)).toEqual(["–", "12.3 ms", "1.50 s", "31 s"]);
    expect([0, 999, 1_500, 25_000_000].map(size)).toEqual(["0 B", "999 B", "1.5 kB", "25 MB"]);
    expect([0, 0.25, 30].map(age)).toEqual(["0 s", "0.3 s", "30 s"]);
    expect([many(1, "event"), many(2_000, "event")]).toEqual(["1 event", "2,000 events"]);
  });

  test("of another day have their date, and what is no time stays as it is", () => {
    const moment = new Date(2026, 2, 9, 6, 5, 4);
    expect(when(moment.toISOString(), new Date(2026, 2, 9, 23))).toBe("06:05:04");
    expect(when(moment.toISOString(), new Date(2026, 2, 10))).toBe("2026-03-09 06:05:04");
    expect(when("soon")).toBe("soon");
  });
});

describe("JSON", () => {
  test("is laid out without any value being touched", () => {
    const sent = '{"code":"00123","n":10E5,"long":123456789012345678901,"t":"a,{\\"b\\":1}","none":[ ],"list":[1,{"x":null}]}';
    expect(indented(sent)).toBe(
      [
        "{",
        '  "code": "00123",',
        '  "n": 10E5,',
        '  "long": 123456789012345678901,',
        '  "t": "a,{\\"b\\":1}",',
        '  "none": [],',
        '  "list": [',
        "    1,",
        "    {",
        '      "x": null',
        "    }",
        "  ]",
        "}",
      ].join("\n"),
    );
  });

  test("that is none stays as it came", () => {
    expect(indented('{"a": <b>')).toBe('{"a": <b>');
  });

  test("a search's term is found in whatever case", () => {
    expect(occurrences("Gate-1 gate", "GATE")).toEqual(["", "Gate", "-1 ", "gate", ""]);
    expect(occurrences("nothing", "")).toEqual(["nothing"]);
  });
});

describe("the picture", () => {
  test("tells what is stuck from what merely rests", () => {
    expect(sourceStanding(source)).toBe("good");
    expect(sourceStanding({ ...source, rate_minute: 0 })).toBe("idle");
    expect(sourceStanding({ ...source, silent: ["reader-1"] })).toBe("warn");
    expect(sourceStanding({ ...source, paused: true, silent: ["reader-1"] })).toBe("off");
    expect(routeStanding(route, target)).toBe("good");
    expect(routeStanding({ ...route, dead_letters: 1 }, target)).toBe("warn");
    expect(routeStanding(route, { ...target, state: "down" })).toBe("bad");
    expect(routeStanding({ ...route, problem: "no such DocType" }, target)).toBe("bad");
    expect(routeStanding({ ...route, problem: "…" }, { ...target, paused: true })).toBe("off");
    expect(targetStanding({ ...target, state: "not asked yet" })).toBe("idle");
    expect(targetStanding({ ...target, paced: "at 4 a second" })).toBe("warn");
  });

  test("moves faster with the rate, and not at all where nothing gets through", () => {
    expect([0, 0.01, 0.5, 5, 50, 5_000].map((one) => pace(one, "good"))).toEqual([0, 1, 1, 2, 3, 4]);
    expect([pace(50, "bad"), pace(50, "off")]).toEqual([0, 0]);
  });

  test("draws from the middle of one box to the middle of the next", () => {
    const box = (left: number, top: number) => ({ left, right: left + 10, top, bottom: top + 20 });
    expect(curve(box(0, 0), box(30, 40))).toBe("M10.0 10.0C20.0 10.0 20.0 50.0 30.0 50.0");
  });
});

describe("history", () => {
  const at = (second: number, sources: SourceView[]): Overview => ({
    at: new Date(second * 1000).toISOString(), uptime: 1, sources, devices: [], routes: [route], targets: [target],
    journal: { head: 1, size: 1, unused: 0, rate: 0, rate_minute: 0 }, alarms: [], dead_letters: second, live: false,
    tasks: null,
  });

  test("of what was seen here keeps all lines as long as each other, whoever comes and goes", () => {
    const one = seen(null, at(10, [source]), 2);
    const two = seen(one, at(12, [{ ...source, id: "shelf", rate: 7 }]), 2);
    expect(two.at).toEqual([10, 12]);
    expect(two.sources).toEqual({ gate: [3, null], shelf: [null, 7] });
    expect(two.lag).toEqual({ checkin: [0, 0] });
    expect(two.dead_letters).toEqual([10, 12]);
  });

  test("of many shows the largest, and the sum of the others", () => {
    const lists = { a: [1, 1], b: [9, null], c: [2, 2], d: [5, 5] };
    expect(largest(lists, 4).map((line) => line.name)).toEqual(["a", "b", "c", "d"]);
    expect(largest(lists, 3)).toEqual([
      { name: "d", values: [5, 5] },
      { name: "b", values: [9, null] },
      { name: "2 others", values: [3, 3] },
    ]);
  });

  test("names its latest and its highest value", () => {
    expect(latest([1, 2, null])).toBe(2);
    expect(latest([null])).toBeNull();
    expect(highest([{ name: "a", values: [1, 8, null] }])).toBe(8);
  });
});
