/** What is said of partners' files and of their rows. */

import type { FileState, FileSummary, RowFate, RowStatus } from "./types";

/** A word, and the class of its mark. */
export type Marked = [string, "good" | "warn" | "bad" | "off" | "idle"];

export const STATES: Record<FileState, Marked> = {
  arriving: ["arriving", "idle"],
  waiting: ["being read", "idle"],
  read: ["read", "good"],
  refused: ["refused", "bad"],
};

export const ROWS: Record<RowStatus, Marked> = {
  delivered: ["delivered", "good"],
  skipped: ["no route's business", "off"],
  "dead-letter": ["dead letter", "bad"],
  discarded: ["discarded by a person", "off"],
  pending: ["waiting", "idle"],
};

const ANSWERS = { no: "not answered yet", partly: "answered in part", whole: "answered" } as const;

/** The names under which it came, each with whether its sender has the answer. */
export function names(file: FileSummary): string[] {
  return file.names.map((one) => `${one.name}: ${ANSWERS[one.answered]}`);
}

/** How it stands: rows that could not be read want a person although the file was read. */
export function standing(file: FileSummary): Marked {
  return file.state === "read" && file.bad > 0 ? ["read, with bad rows", "warn"] : STATES[file.state];
}

/** Whether anything of it may still change. */
export function isOpen(file: FileSummary, rows: RowFate[] = []): boolean {
  return (
    file.state === "arriving" ||
    file.state === "waiting" ||
    file.names.some((one) => one.answered !== "whole") ||
    rows.some((one) => one.status === "pending")
  );
}
