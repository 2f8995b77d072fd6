/** Which live channels tell what, and how often what they tell is looked at. Pure. */

/** Channels that one view may want; the gateway's own limit is above it unless somebody lowered that. */
const MOST = 100;

/** What is published in `events:SOURCE` and `device:ID`, as far as this page reads it. */
export interface EventPush {
  seq: number;
  source: string;
}

/** What is published in `deliveries`. */
export interface DeliveryPush {
  route: string;
  seq: number;
  source: string;
  attempt: number;
  state: "delivered" | "refused";
}

/** The address of the live channels of the gateway that a page came from. */
export function channelsAddress(page: { protocol: string; host: string }): string {
  return `${page.protocol === "https:" ? "wss:" : "ws:"}//${page.host}/connection/websocket`;
}

/** The channels in which every event of a search is published; none where there would be too many. */
export function eventChannels(asked: { source: string | null; device: string | null }, sources: string[]): string[] {
  if (asked.source !== null) return [`events:${asked.source}`];
  if (asked.device !== null) return [`device:${asked.device}`];
  return sources.length <= MOST ? sources.map((source) => `events:${source}`) : [];
}

/** The channels in which every change of these tasks' runs is published; none where there would be too many. */
export function taskChannels(tasks: string[]): string[] {
  return tasks.length <= MOST ? tasks.map((task) => `tasks:${task}`) : [];
}

/** A search of the address, as the gateway's `events.list` wants it. */
export function eventsRequest(
  asked: {
    source: string | null;
    device: string | null;
    contains: string | null;
    undecodable: string | null;
    before: string | null;
  },
  limit: number,
): Record<string, unknown> {
  return {
    source: asked.source,
    device: asked.device,
    contains: asked.contains,
    undecodable: asked.undecodable === "true",
    before: asked.before === null ? null : Number(asked.before),
    limit,
  };
}

/** Whether something may have been published, while nobody was subscribed, that will not come any more. */
export function hasHole(joined: { wasRecovering: boolean; recovered: boolean }): boolean {
  return !(joined.wasRecovering && joined.recovered);
}

export interface Paced {
  /** Have it done: at once, or when its time has come. */
  call: () => void;
  /** Do nothing any more that is not under way. */
  stop: () => void;
}

/**
 * Have something done at once, but not twice at a time, and not before `pause` milliseconds have passed since it was
 * done last; calls meanwhile are one.
 */
export function paced(work: () => Promise<void>, pause: number): Paced {
  let busy = false;
  let asked = false;
  let timer: ReturnType<typeof setTimeout> | null = null;

  async function go(): Promise<void> {
    busy = true;
    asked = false;
    try {
      await work();
    } finally {
      busy = false;
      timer = setTimeout(() => {
        timer = null;
        if (asked) void go();
      }, pause);
    }
  }

  return {
    call: () => {
      asked = true;
      if (!busy && timer === null) void go();
    },
    stop: () => {
      asked = false;
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}
