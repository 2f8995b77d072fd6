/**
 * The live channels: told at once, by the gateway, what is new. Where it offers none, or the connection does not stand,
 * the views go on asking.
 */

import type { Centrifuge, Subscription } from "centrifuge";
import { computed, onBeforeUnmount, onMounted, reactive, ref, watch, type Ref } from "vue";
import { Refused, connection, session } from "./api";
import { channelsAddress, hasHole } from "./channels";

/** Milliseconds until the SDK tries again at most: who looks shall not wait for long. */
const PATIENCE = 5_000;

export const live = reactive({
  /** The connection stands, and somebody is let in. */
  up: false,
  /** The channels whose subscription stands. */
  joined: new Set<string>(),
});

interface Listener {
  came: (push: unknown) => void;
  missed: () => void;
}

const listeners = new Map<string, Set<Listener>>();
let client: Centrifuge | null = null;

/** The SDK is loaded where it is needed only. */
async function opened(): Promise<Centrifuge> {
  const sdk = await import("centrifuge");
  if (client !== null) return client;
  client = new sdk.Centrifuge(channelsAddress(location), { maxReconnectDelay: PATIENCE, name: "dashboard" });
  client.on("connected", () => (live.up = true));
  client.on("connecting", () => (live.up = false));
  client.on("disconnected", () => (live.up = false));
  for (const channel of listeners.keys()) join(client, channel);
  return client;
}

function join(to: Centrifuge, channel: string): void {
  const subscription = to.newSubscription(channel);
  const each = (tell: (one: Listener) => void): void => [...(listeners.get(channel) ?? [])].forEach(tell);
  subscription.on("publication", (told) => each((one) => one.came(told.data)));
  subscription.on("subscribed", (joined) => {
    live.joined.add(channel);
    if (hasHole(joined)) each((one) => one.missed());
  });
  subscription.on("subscribing", () => live.joined.delete(channel));
  subscription.on("unsubscribed", () => live.joined.delete(channel));
  subscription.subscribe();
}

function leave(channel: string): void {
  const subscription: Subscription | null = client?.getSubscription(channel) ?? null;
  if (client === null || subscription === null) return;
  subscription.unsubscribe();
  client.removeSubscription(subscription);
}

/** Be connected while the gateway offers it, somebody looks, and as who they are; for the whole page. */
export function useLive(offered: () => boolean): void {
  const hidden = ref(document.hidden);
  const look = (): void => void (hidden.value = document.hidden);
  onMounted(() => document.addEventListener("visibilitychange", look));
  onBeforeUnmount(() => {
    document.removeEventListener("visibilitychange", look);
    client?.disconnect();
  });
  // Without a token it is the session's cookie that says who looks; with another session one connects anew.
  const wanted = computed(() => (offered() && !hidden.value ? `${session.token ?? ""} ${session.csrf ?? ""}` : null));
  watch(
    wanted,
    async (now) => {
      client?.disconnect();
      if (now === null) return;
      const connecting = await opened();
      if (wanted.value !== now) return;
      connecting.setToken(session.token ?? "");
      connecting.connect();
    },
    { immediate: true },
  );
}

/**
 * Listen to channels while the component is there.
 *
 * @param channels those that are wanted now.
 * @param came is told each publication.
 * @param missed is told that some may not come: what is shown has to be asked for anew.
 * @returns whether all of them tell everything at present; with none they do not.
 */
export function useChannels(channels: () => string[], came: (push: unknown) => void, missed: () => void): Ref<boolean> {
  const own: Listener = { came, missed };
  const names = computed(channels);

  function listen(to: string[], before: string[]): void {
    for (const channel of to.filter((one) => !before.includes(one))) {
      const there = listeners.get(channel);
      if (there !== undefined) there.add(own);
      else {
        listeners.set(channel, new Set([own]));
        if (client !== null) join(client, channel);
      }
    }
    for (const channel of before.filter((one) => !to.includes(one))) {
      const there = listeners.get(channel);
      there?.delete(own);
      if (there?.size === 0) {
        listeners.delete(channel);
        leave(channel);
      }
    }
  }

  watch(names, (now, before) => listen(now, before ?? []), { immediate: true });
  onBeforeUnmount(() => listen([], names.value));
  return computed(
    () => live.up && names.value.length > 0 && names.value.every((channel) => live.joined.has(channel)),
  );
}

/** Ask over the live connection; null if it gave no answer, so that one asks in another way. */
export async function call<T>(method: string, request: unknown, signal: AbortSignal): Promise<T | null> {
  if (client === null || !live.up) return null;
  try {
    const answer = await client.rpc(method, request);
    signal.throwIfAborted();
    connection.heard = new Date();
    return answer.data as T;
  } catch (failed) {
    signal.throwIfAborted();
    const told = failed as { code?: number; message?: string };
    // Below 100 are the SDK's own: no connection, no answer in time. 100 is an error of the gateway's, HTTP tells it too.
    if (told.code === undefined || told.code <= 100) return null;
    throw new Refused(told.code, told.message ?? "");
  }
}
