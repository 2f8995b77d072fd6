/** What `App` shares with the views below it. */

import type { InjectionKey, Ref } from "vue";
import { inject } from "vue";
import type { History } from "./history";
import type { Poll } from "./poll";
import type { Overview } from "./types";

/** Milliseconds between two looks at the gateway. */
export const LOOK = 2_000;

export const overviewKey: InjectionKey<Poll<Overview>> = Symbol("overview");
export const historyKey: InjectionKey<Ref<History | null>> = Symbol("history");

export function shared<T>(key: InjectionKey<T>): T {
  const found = inject(key);
  if (found === undefined) throw new Error("this part is not below App");
  return found;
}
