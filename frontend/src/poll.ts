/** Asking again and again, as long as somebody looks. */

import { onBeforeUnmount, onMounted, shallowRef, watch, type ShallowRef } from "vue";
import { Lost, Refused, session } from "./api";

export interface Poll<T> {
  data: ShallowRef<T | null>;
  /** Why the last question was refused; a lost connection is told elsewhere. */
  refused: ShallowRef<Refused | null>;
  /** Ask at once, and from then on at the old pace. */
  again: () => Promise<void>;
}

/**
 * Ask while the component is there and its page is visible.
 *
 * @param ask the question; the signal ends it when nobody wants the answer any more.
 * @param pause milliseconds from an answer to the next question, or a function of them; null for asking no more.
 */
export function usePoll<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  pause: number | (() => number | null),
): Poll<T> {
  const data = shallowRef<T | null>(null);
  const refused = shallowRef<Refused | null>(null);
  let timer = 0;
  let under: AbortController | null = null;

  async function again(): Promise<void> {
    clearTimeout(timer);
    under?.abort();
    const own = (under = new AbortController());
    try {
      data.value = await ask(own.signal);
      refused.value = null;
    } catch (failed) {
      if (own.signal.aborted) return;
      if (failed instanceof Refused) refused.value = failed;
      else if (!(failed instanceof Lost)) throw failed;
    }
    if (own.signal.aborted || document.hidden) return;
    const next = typeof pause === "number" ? pause : pause();
    if (next !== null) timer = window.setTimeout(() => void again(), next);
  }

  function stop(): void {
    clearTimeout(timer);
    under?.abort();
  }

  const look = (): void => (document.hidden ? stop() : void again());
  onMounted(() => {
    document.addEventListener("visibilitychange", look);
    void again();
  });
  onBeforeUnmount(() => {
    document.removeEventListener("visibilitychange", look);
    stop();
  });
  watch([() => session.token, () => session.csrf], () => void again());
  return { data, refused, again };
}
