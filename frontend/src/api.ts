/** Questions to the gateway, who asks, and whether it can be reached. */

import { reactive } from "vue";

const API = "/api/v1";
const TOKEN = "lineside.token";
const PATIENCE = 8_000;

/** The gateway answered that it does not do this. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

/** No answer came, or one that is not the gateway's. */
export class Lost extends Error {}

export const connection = reactive({
  /** `locked`: it answers, and wants a token first. */
  state: "connecting" as "connecting" | "live" | "lost" | "locked",
  /** When it last answered. */
  heard: null as Date | null,
  reason: "",
});

export const session = reactive({
  token: sessionStorage.getItem(TOKEN),
  /** Why the reader is asked for a token; null while they are not. */
  asked: null as string | null,
  /** The reader was asked and gave none: they are not asked again for looking alone. */
  declined: false,
});

let waiting: ((given: boolean) => void)[] = [];

/** Keep a token as long as this tab is open, or forget it, and let go on who waited for it. */
export function useToken(token: string | null): void {
  session.token = token;
  session.asked = null;
  session.declined = false;
  if (token === null) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
  answerWaiting(token !== null);
}

/** The reader gives none. */
export function giveNoToken(): void {
  session.asked = null;
  session.declined = true;
  answerWaiting(false);
}

export function askForToken(why: string): Promise<boolean> {
  session.asked = why;
  return new Promise((resolve) => waiting.push(resolve));
}

function answerWaiting(given: boolean): void {
  const those = waiting;
  waiting = [];
  for (const one of those) one(given);
}

export type Query = Record<string, string | number | null | undefined>;

/** Ask for something. Throws `Refused`, `Lost`, or the abort's reason. */
export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const given = Object.entries(query).filter((pair) => pair[1] !== null && pair[1] !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  try {
    return await request<T>("GET", `${path}${text ? `?${text}` : ""}`, undefined, signal);
  } catch (failed) {
    if (failed instanceof Refused && failed.status === 401 && session.asked === null && !session.declined) {
      session.asked = session.token === null ? "This gateway asks for a token." : failed.message;
    }
    throw failed;
  }
}

/** Have something done. Where that needs a token the reader is asked, and it is tried again. */
export async function post<T>(path: string, body?: unknown): Promise<T> {
  for (;;) {
    try {
      return await request<T>("POST", path, body);
    } catch (failed) {
      if (!(failed instanceof Refused && failed.status === 401)) throw failed;
      const why = session.token === null ? "This needs the token of an operator." : failed.message;
      if (!(await askForToken(why))) throw failed;
    }
  }
}

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  const token = session.token;
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  let told: unknown;
  const late = AbortSignal.timeout(PATIENCE);
  try {
    answer = await fetch(API + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      // The browser asks whether what it has still holds: the gateway answers 304 then.
      cache: "no-cache",
      redirect: "error",
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    const kind = answer.headers.get("Content-Type") ?? "";
    if (!kind.includes("json")) throw new TypeError(`it answers ${answer.status}`);
    told = await answer.json();
  } catch (failed) {
    if (signal?.aborted) throw failed;
    throw lost(failed, late.aborted);
  }
  connection.heard = new Date();
  connection.reason = "";
  const locked = answer.status === 401 && method === "GET";
  if (locked) connection.state = "locked";
  else if (method === "GET" || connection.state === "lost") connection.state = "live";
  if (answer.ok) return told as T;
  throw new Refused(answer.status, (told as { detail?: string }).detail ?? answer.statusText);
}

function lost(failed: unknown, late: boolean): Lost {
  const said = failed instanceof Error ? failed.message : "";
  connection.reason = late
    ? `no answer within ${PATIENCE / 1000} s`
    : said.startsWith("it answers")
      ? said
      : "it cannot be reached";
  connection.state = "lost";
  return new Lost(`The gateway: ${connection.reason}.`);
}
