/** What the reader is told, and what they are asked before something is gone for good. */

import { reactive, ref } from "vue";
import { Lost, Refused, askForToken, post, session } from "./api";
import { count, many } from "./format";
import type { AskedRun, Done, RunSummary } from "./types";

export interface Notice {
  id: number;
  kind: "done" | "failed";
  text: string;
  more: string[];
}

const SHOWN = 12_000;

export const notices = reactive<Notice[]>([]);
let last = 0;

export function tell(kind: Notice["kind"], text: string, more: string[] = []): void {
  const id = (last += 1);
  notices.push({ id, kind, text, more });
  if (notices.length > 3) notices.shift();
  // What went wrong stays until it was read.
  if (kind === "done" && !more.length) setTimeout(() => dismiss(id), SHOWN);
}

export function dismiss(id: number): void {
  const at = notices.findIndex((one) => one.id === id);
  if (at >= 0) notices.splice(at, 1);
}

export interface Question {
  title: string;
  text: string;
  verb: string;
  danger: boolean;
  /** What the button says that leaves everything as it is. */
  leave?: string;
}

export const question = ref<(Question & { answer: (yes: boolean) => void }) | null>(null);

export function confirmed(asked: Question): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      ...asked,
      answer: (yes) => {
        question.value = null;
        resolve(yes);
      },
    };
  });
}

/** Have the gateway do something, and tell how that went; null if it was not done. */
export async function have<T>(path: string, body: unknown, told: (result: T) => string): Promise<T | null> {
  try {
    const result = await post<T>(path, body);
    const skipped = (result as Partial<Done>).skipped ?? [];
    tell(skipped.length ? "failed" : "done", told(result), skipped);
    return result;
  } catch (failed) {
    if (failed instanceof Refused && failed.status === 403 && (session.token !== null || session.csrf !== null)) {
      if (await askForToken(`${failed.message}. Another token?`)) return have(path, body, told);
      return null;
    }
    if (failed instanceof Refused || failed instanceof Lost) {
      tell("failed", failed.message);
      return null;
    }
    throw failed;
  }
}

const letters = (number: number): string => many(number, "dead letter");

/** Deliver dead letters again. */
export function retry(ids: number[] | null, route: string | null): Promise<Done | null> {
  return have<Done>("/dead-letters/retry", { ids, route }, (result) =>
    told(result, `${letters(result.done)} on the way again`),
  );
}

/** Remove dead letters for good, once the reader has said yes. */
export async function discard(ids: number[] | null, route: string | null, which: string): Promise<Done | null> {
  const yes = await confirmed({
    title: `Discard ${which}?`,
    text: "No document will ever be made of it. The events stay in the journal as long as it keeps them.",
    verb: "Discard",
    danger: true,
  });
  if (!yes) return null;
  return have<Done>("/dead-letters/discard", { ids, route }, (result) =>
    told(result, `${letters(result.done)} discarded`),
  );
}

function told(result: Done, done: string): string {
  if (!result.skipped.length) return `${done}.`;
  return `${done}, ${count(result.skipped.length)} left as they were:`;
}

/** Ask for a run of a task. */
export function runTask(task: string): Promise<AskedRun | null> {
  return have<AskedRun>(`/tasks/${encodeURIComponent(task)}/run`, undefined, ({ run, outcome }) => {
    if (outcome === "repeated") return `It was asked for before: that is run ${run} of ${task}.`;
    return outcome === "queued" ? `Run ${run} of ${task} is asked for.` : `Left out: run ${run} of ${task} has not ended.`;
  });
}

/** Run once more what ended without success. */
export function retryRun(run: RunSummary): Promise<RunSummary | null> {
  return have<RunSummary>(`/runs/${run.run}/retry`, undefined, () => `Run ${run.run} of ${run.task} is asked for again.`);
}

/** Let a run end, once the reader has said yes. */
export async function cancelRun(run: RunSummary): Promise<RunSummary | null> {
  const yes = await confirmed({
    title: `Cancel run ${run.run} of ${run.task}?`,
    text: "What it has done so far stays done. It can be retried, and then goes on after the last step that it finished.",
    verb: "Cancel the run",
    danger: true,
    leave: run.state === "running" ? "Let it run" : "Let it wait",
  });
  if (!yes) return null;
  return have<RunSummary>(`/runs/${run.run}/cancel`, undefined, (told) =>
    told.state === "running" ? `Run ${run.run} of ${run.task} is to end.` : `Run ${run.run} of ${run.task} is cancelled.`,
  );
}

/** Pause or resume a part, and tell; a pause is asked about first. */
export async function setPaused(kind: "source" | "route" | "target" | "task", id: string, paused: boolean): Promise<boolean> {
  if (paused) {
    const what = {
      source: "Devices are told to send again later. Nothing that was acknowledged is lost.",
      route: "Its events wait in the journal until it is resumed.",
      target: "What goes to it waits in the journal until it is resumed.",
      task: "No run of it begins until it is resumed; what is asked for meanwhile waits. One that runs goes on.",
    };
    const yes = await confirmed({ title: `Pause the ${kind} ${id}?`, text: what[kind], verb: "Pause", danger: false });
    if (!yes) return false;
  }
  const path = `/${kind}s/${encodeURIComponent(id)}/${paused ? "pause" : "resume"}`;
  const done = await have(path, undefined, () => `The ${kind} ${id} ${paused ? "is paused" : "works again"}.`);
  return done !== null;
}
