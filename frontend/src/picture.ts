/** The live picture's pure part: how parts stand, and where the lines between them run. */

import type { RouteView, SourceView, TargetView } from "./types";

/** `bad`: nothing gets through. `warn`: somebody should look. `off`: a person stopped it. */
export type Standing = "good" | "idle" | "warn" | "bad" | "off";

export function sourceStanding(source: SourceView): Standing {
  if (source.paused) return "off";
  if (source.silent.length) return "warn";
  return source.rate_minute > 0 ? "good" : "idle";
}

export function routeStanding(route: RouteView, target: TargetView | undefined): Standing {
  if (route.paused || target?.paused) return "off";
  if (route.problem !== null || (target && targetStanding(target) === "bad")) return "bad";
  if (route.dead_letters) return "warn";
  return route.rate_minute > 0 ? "good" : "idle";
}

export function targetStanding(target: TargetView): Standing {
  if (target.paused) return "off";
  if (target.state === "down" || target.state === "blocked") return "bad";
  if (target.paced !== null) return "warn";
  return target.state === "open" ? "good" : "idle";
}

/** How fast a line's dots move: 0 for not at all, up to 4. */
export function pace(rate: number, standing: Standing): number {
  if (rate <= 0 || standing === "bad" || standing === "off") return 0;
  return Math.min(4, Math.max(1, 2 + Math.floor(Math.log10(rate))));
}

export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** A curve from the middle of one box's right side to the middle of another's left side. */
export function curve(from: Box, to: Box): string {
  const [y1, y2] = [(from.top + from.bottom) / 2, (to.top + to.bottom) / 2];
  const bend = (to.left - from.right) / 2;
  const n = (value: number): string => value.toFixed(1);
  return (
    `M${n(from.right)} ${n(y1)}C${n(from.right + bend)} ${n(y1)} ` +
    `${n(to.left - bend)} ${n(y2)} ${n(to.left)} ${n(y2)}`
  );
}
