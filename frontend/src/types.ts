/**
 * What the gateway's API answers. The names and members are those of `lineside.operations.results` and
 * `lineside.operations.taskresults`; a test holds them together.
 */

export interface EventSummary {
  seq: number;
  source: string;
  received: string;
  device: string | null;
  key: string | null;
  body: string;
  error: string | null;
}

export interface EventList {
  events: EventSummary[];
  next_after: number;
  head: number;
  next_before: number | null;
}

export type DeliveryState = "delivered" | "dead" | "retrying" | "discarded" | "skipped" | "pending" | "closed";

export interface DeliveryStory {
  route: string;
  state: DeliveryState;
  name: string | null;
  found: boolean;
  attempts: number;
  at: string | null;
  reason: string | null;
  dead_letter: number | null;
  altered: string[];
  link: string | null;
}

export interface EventStory {
  event: EventSummary;
  identity: string;
  raw: string | null;
  deliveries: DeliveryStory[];
}

export interface DeadLetterSummary {
  id: number;
  seq: number;
  source: string;
  route: string | null;
  code: string;
  reason: string;
  attempts: number;
  at: string;
  retrying: boolean;
  body: string;
  reply: string | null;
}

export interface DeadLetterList {
  dead_letters: DeadLetterSummary[];
  total: number;
}

export interface Done {
  done: number;
  skipped: string[];
}

export interface SourceView {
  id: string;
  address: string;
  connections: number;
  rate: number;
  rate_minute: number;
  undecodable_minute: number;
  devices: number;
  silent: string[];
  silent_for: number | null;
  last_seen: string | null;
  commit_p50: number | null;
  commit_p99: number | null;
  paused: boolean;
  files_waiting: number | null;
}

export interface DeviceView {
  source: string;
  device: string;
  peer: string | null;
  rate: number;
  lines: number;
  silent_for: number;
  last_seen: string;
  silent: boolean;
}

export interface JournalView {
  head: number;
  size: number;
  unused: number;
  rate: number;
  rate_minute: number;
}

export interface RouteView {
  id: string;
  target: string;
  rate_minute: number;
  waiting: number;
  more: boolean;
  oldest: number | null;
  dead_letters: number;
  problem: string | null;
  paused: boolean;
}

export interface TargetView {
  id: string;
  state: "open" | "down" | "blocked" | "not asked yet";
  in_use: number;
  limit: number;
  p50: number | null;
  p99: number | null;
  paced: string | null;
  problem: string | null;
  paused: boolean;
}

export interface Alarm {
  at: string;
  level: string;
  event: string;
  facts: string;
}

export interface TasksView {
  running: number;
  queued: number;
  failed: number;
  next: string | null;
  next_task: string | null;
}

export interface Overview {
  at: string;
  uptime: number;
  journal: JournalView;
  sources: SourceView[];
  devices: DeviceView[];
  routes: RouteView[];
  targets: TargetView[];
  alarms: Alarm[];
  dead_letters: number;
  live: boolean;
  tasks: TasksView | null;
}

export interface Paused {
  kind: string;
  id: string;
  since: string | null;
}

export type RunState = "queued" | "running" | "succeeded" | "failed" | "cancelled" | "interrupted";

/** Also what is published in `tasks:NAME`. */
export interface RunSummary {
  run: number;
  task: string;
  state: RunState;
  cause: "clock" | "event" | "person" | "program";
  caller: string;
  key: string | null;
  attempt: number;
  asked: string;
  due: string;
  started: string | null;
  ended: string | null;
  seconds: number | null;
  done: number | null;
  total: number | null;
  message: string | null;
  error: string | null;
}

export interface RunList {
  runs: RunSummary[];
  next_before: number | null;
}

export interface LogLine {
  at: string;
  text: string;
}

export interface StepSummary {
  name: string;
  at: string;
  result: string;
}

export interface RunStory {
  summary: RunSummary;
  params: Record<string, unknown>;
  result: string | null;
  traceback: string | null;
  log: LogLine[];
  steps: StepSummary[];
}

export interface EndedRuns {
  task: string;
  runs: number[];
  states: RunState[];
  ended: string[];
  seconds: (number | null)[];
}

export interface TaskHistory {
  tasks: EndedRuns[];
}

export interface AskedRun {
  run: number;
  outcome: "queued" | "repeated" | "skipped";
}

export interface Punctuality {
  ticks: number;
  skipped: number;
  last: number;
  worst: number;
}

export interface TaskSummary {
  name: string;
  runs: string;
  when: string;
  description: string;
  next: string[];
  paused: string | null;
  waits: string | null;
  queued: number;
  running: number;
  succeeded: number | null;
  failed: number | null;
  cancelled: number | null;
  interrupted: number | null;
  skipped: number;
  last: RunSummary | null;
  punctuality: Punctuality | null;
}

export interface TaskList {
  tasks: TaskSummary[];
  now: string;
}

export type FileState = "arriving" | "waiting" | "read" | "refused";

export interface FileName {
  name: string;
  answered: "no" | "partly" | "whole";
}

export interface FileSummary {
  id: number;
  source: string;
  sender: string;
  names: FileName[];
  taken: string;
  state: FileState;
  size: number;
  digest: string;
  rows: number;
  bad: number;
  reason: string | null;
}

export interface FileList {
  files: FileSummary[];
  next_before: number | null;
  waiting: number;
  waiting_bytes: number;
}

export type RowStatus = "delivered" | "skipped" | "dead-letter" | "discarded" | "pending";

export interface RowFate {
  row: number;
  seq: number;
  status: RowStatus;
  documents: string[];
  error: string | null;
}

export interface FileStory {
  file: FileSummary;
  rows: RowFate[];
  next_after: number | null;
}
