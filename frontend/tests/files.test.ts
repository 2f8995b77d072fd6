import { describe, expect, test } from "vitest";
import { isOpen, names, standing } from "../src/files";
import type { FileSummary, RowFate } from "../src/types";

const file = (more: Partial<FileSummary> = {}): FileSummary => ({
  id: 7, source: "orders", sender: "acme", names: [{ name: "a.csv", answered: "whole" }], taken: "2026-12-01T06:00:00.000Z",
  state: "read", size: 120, digest: "00", rows: 3, bad: 0, reason: null, ...more,
});
const row = (status: RowFate["status"]): RowFate => ({ row: 1, seq: 9, status, documents: [], error: null });

describe("a partner's file", () => {
  test("wants a look where rows could not be read, and more where it was refused", () => {
    expect(standing(file())).toEqual(["read", "good"]);
    expect(standing(file({ bad: 1 }))).toEqual(["read, with bad rows", "warn"]);
    expect(standing(file({ state: "refused", bad: 1 }))[1]).toBe("bad");
  });

  test("says under each of its names whether its sender has the answer", () => {
    const twice = file({ names: [{ name: "b.csv", answered: "partly" }, { name: "a.csv", answered: "no" }] });
    expect(names(twice)).toEqual(["b.csv: answered in part", "a.csv: not answered yet"]);
  });

  test("is looked at often while something of it may change", () => {
    expect(isOpen(file(), [row("delivered"), row("dead-letter")])).toBe(false);
    expect(isOpen(file(), [row("pending")])).toBe(true);
    expect(isOpen(file({ state: "waiting" }))).toBe(true);
    expect(isOpen(file({ names: [{ name: "a.csv", answered: "partly" }] }))).toBe(true);
  });
});
