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

export interface Who {
  name: string;
  role: string;
  permissions: string[];
  /** Of somebody who logged in. */
  full_name: string | null;
}

interface Standing {
  who: Who | null;
  login: string | null;
  csrf?: string | null;
}

export const session = reactive({
  token: sessionStorage.getItem(TOKEN),
  /** Who the gateway takes the reader for; null until it said so. */
  who: null as Who | null,
  /** The ERP with whose passwords people log in; null where nobody does. */
  login: null as string | null,
  /** What each request that changes something shows, of a reader who logged in; the session itself is in a cookie. */
  csrf: null as string | null,
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
  void askWho();
}

/** Ask who the reader is taken for, and how they could say who they are. While there is no answer nothing changes. */
export async function askWho(): Promise<void> {
  try {
    stand(await request<Standing>("GET", "/session"));
  } catch (failed) {
    if (failed instanceof Refused) session.who = null;
    else if (!(failed instanceof Lost)) throw failed;
  }
}

/** Log in as in the ERP. Throws `Refused`, with words for the reader, or `Lost`. */
export async function logIn(user: string, password: string): Promise<void> {
  const told = await request<Standing>("POST", "/session", { user, password });
  session.token = null;
  sessionStorage.removeItem(TOKEN);
  stand(told);
  session.asked = null;
  session.declined = false;
  answerWaiting(true);
}

export async function logOut(): Promise<void> {
  try {
    stand(await request<Standing>("DELETE", "/session"));
  } catch (failed) {
    // It had ended already.
    if (!(failed instanceof Refused)) throw failed;
    session.who = session.csrf = null;
  }
}

/** Whether the reader may do what needs a permission. Who did not say who they are is asked when they try. */
export function may(permission: string): boolean {
  return (session.token === null && session.csrf === null) || (session.who?.permissions.includes(permission) ?? true);
}

function stand(told: Standing): void {
  session.who = told.who;
  session.login = told.login;
  session.csrf = told.csrf ?? null;
}

/** Why the reader is asked who they are. */
function why(failed: Refused): string {
  if (session.csrf !== null) {
    session.who = session.csrf = null;
    return "Your session has ended.";
  }
  if (session.token !== null) return failed.message;
  return session.login === null ? "This gateway asks for a token." : "";
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
      session.asked = why(failed);
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
      const unknown = session.token === null && session.csrf === null;
      if (!(await askForToken(unknown ? "This needs an operator." : why(failed)))) throw failed;
    }
  }
}

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  const token = session.token;
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  else if (session.csrf !== null && method !== "GET") headers["X-Lineside-CSRF"] = session.csrf;
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
    // It stops, or its journal does: it will not answer in a moment, and what is on the page stays there.
    if (answer.status === 503 && method === "GET") throw new TypeError(`it answers ${answer.status}`);
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
