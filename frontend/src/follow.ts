/** What is asked for once, and then kept as it is by what the channels of tasks tell. */

import { onBeforeUnmount, onMounted, ref, shallowRef, watch, type Ref } from "vue";
import { get } from "./api";
import { paced, taskChannels } from "./channels";
import { LOOK } from "./keys";
import { useChannels } from "./live";
import { type Poll, usePoll } from "./poll";
import type { RunSummary, TaskList } from "./types";

/** Milliseconds in which pushes are gathered: a thousand runs a second are drawn a few times. */
const GLANCE = 250;

export interface Followed<T> extends Poll<T> {
  /** Whether the channels tell everything at present. */
  told: Ref<boolean>;
}

/**
 * Ask, and from then on follow the runs of tasks; where channels do not tell, ask again and again.
 *
 * @param ask the question.
 * @param tasks whose runs matter.
 * @param merge what is known after pushes; null for asking anew, at most every `LOOK` milliseconds.
 */
export function useFollowed<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  tasks: () => string[],
  merge: (known: T, pushes: RunSummary[]) => T | null,
): Followed<T> {
  let arrived: RunSummary[] = [];
  /** Since the question that has no answer yet: the answer may be of before them. */
  let meanwhile: RunSummary[] | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;

  const { data, refused, again } = usePoll(
    async (signal) => {
      const own: RunSummary[] = (meanwhile = []);
      const answer = await ask(signal);
      if (meanwhile === own) meanwhile = null;
      return own.length ? (merge(answer, own) ?? answer) : answer;
    },
    (): number | null => (told.value || refused.value?.status === 404 ? null : LOOK),
  );
  const lookAgain = paced(again, GLANCE);
  const lookSoon = paced(again, LOOK);

  function take(): void {
    timer = null;
    const pushes = arrived;
    arrived = [];
    if (data.value === null) return;
    const merged = merge(data.value, pushes);
    if (merged === null) lookSoon.call();
    else data.value = merged;
  }

  const told = useChannels(
    () => taskChannels(tasks()),
    (push) => {
      arrived.push(push as RunSummary);
      meanwhile?.push(push as RunSummary);
      timer ??= setTimeout(take, GLANCE);
    },
    lookAgain.call,
  );
  watch(told, lookAgain.call);
  onBeforeUnmount(() => {
    lookAgain.stop();
    lookSoon.stop();
    if (timer !== null) clearTimeout(timer);
  });
  return { data, refused, again, told };
}

/** Moments that are asked for of each task. */
export const UPCOMING = 24;

/**
 * Every task: asked for anew where its runs change, or where its moments have passed.
 *
 * @param totals whether to count the runs that have ended too.
 */
export function useTasks(totals: boolean): Followed<TaskList> & { names: Ref<string[]>; now: Ref<number> } {
  const names = shallowRef<string[]>([]);
  const followed = useFollowed(
    async (signal) => {
      const answer = await get<TaskList>("/tasks", { upcoming: UPCOMING, totals: String(totals) }, signal);
      const found = answer.tasks.map((task) => task.name);
      if (found.join("\n") !== names.value.join("\n")) names.value = found;
      return answer;
    },
    () => names.value,
    () => null,
  );
  const now = useNow(() => followed.data.value?.now ?? null);
  const behind = paced(followed.again, LOOK);
  watch(now, (moment) => {
    const tasks = followed.data.value?.tasks ?? [];
    if (tasks.some(({ next }) => next.length && Date.parse(next.at(-1)!) <= moment)) behind.call();
  });
  onBeforeUnmount(behind.stop);
  return { ...followed, names, now };
}

/**
 * The gateway's time in milliseconds since 1970, each second anew: a browser's clock may be wrong.
 *
 * @param told what the gateway said the time was when it answered last; null before it has.
 */
export function useNow(told: () => string | null = () => null): Ref<number> {
  let ahead = 0;
  const now = ref(Date.now());
  const tick = (): void => void (now.value = Date.now() + ahead);
  watch(told, (moment) => {
    if (moment !== null) ahead = Date.parse(moment) - Date.now();
    tick();
  });
  let ticking: ReturnType<typeof setInterval>;
  onMounted(() => (ticking = setInterval(tick, 1000)));
  onBeforeUnmount(() => clearInterval(ticking));
  return now;
}
