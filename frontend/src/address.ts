/** Where in the dashboard the reader is: the part of the address after `#`. */

import { computed, ref } from "vue";

export interface Place {
  /** Such as `["events", "17"]`. */
  parts: string[];
  query: Record<string, string>;
}

export function parsed(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return {
    parts: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

export function written(parts: (string | number)[], query: Record<string, string | null> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== null);
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}${text ? `?${text}` : ""}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const hash = ref(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

export const place = computed(() => parsed(hash.value));

/** Go there. With `replace` the browser's way back leads past where the reader is now. */
export function go(to: string, replace = false): void {
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, "", to);
    hash.value = to;
  } else {
    location.hash = to;
  }
}
