import { createClock } from "../../../core/clock.ts";
import type { Database } from "../../../core/db/database.ts";
import { createEvents, type LogEvent } from "../../../core/events.ts";
import { createAppHooks, type Hooks } from "../../../core/hooks.ts";
import type { AccountEvent, AppliedChange, CommitEvent, RecordAction } from "../../../core/records/change.ts";
import { createPipeline, type Pipeline, type PipelineLimits } from "../../../core/records/pipeline.ts";
import { createRecordingLog, type LogLine } from "../../setup/log.ts";

export const collection = "xyz.statusphere.status";
export const otherCollection = "com.example.post";

export interface Bench {
  pipeline: Pipeline;
  hooks: Hooks;
  applied: AppliedChange[];
  events: LogEvent[];
  log: LogLine[];
}

/** A pipeline over `db` alone: two tracked collections, and everything it announces in lists. */
export function createBench(
  db: Database,
  limits?: PipelineLimits,
  tracked: readonly string[] = [collection, otherCollection],
): Bench {
  const hooks = createAppHooks();
  const clock = createClock();
  const { log, lines } = createRecordingLog();
  const applied: AppliedChange[] = [];
  const events: LogEvent[] = [];
  hooks.hook("record:after", (changes) => void applied.push(...changes));
  hooks.hook("event", (event) => void events.push(event));
  const pipeline = createPipeline({
    db,
    hooks,
    clock,
    log,
    limits,
    events: createEvents(hooks, clock, log),
    lexicons: { isTracked: (nsid) => tracked.includes(nsid) },
  });
  return { pipeline, hooks, applied, events, log: lines };
}

export const alice = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
export const bob = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";

const tidDigits = "234567abcdefghijklmnopqrstuvwxyz";

/** A TID that grows with `n`. */
export function rev(n: number): string {
  let digits = "";
  for (let rest = n; digits.length < 11; rest = Math.floor(rest / 32))
    digits = tidDigits.charAt(rest % 32) + digits;
  return `3l${digits}`;
}

export function commit(
  action: RecordAction,
  n: number,
  parts: Partial<CommitEvent> & { text?: string } = {},
): CommitEvent {
  const { text = `v${n}`, ...rest } = parts;
  const record = action === "delete" ? {} : { record: { $type: collection, text } };
  return {
    kind: "commit",
    action,
    did: alice,
    collection,
    rkey: "one",
    rev: rev(n),
    cid: "",
    ...record,
    ...rest,
  };
}

export function account(n: number, status: string | undefined, did: string = alice): AccountEvent {
  return { kind: "account", did, active: status === undefined, status, rev: rev(n) };
}

export interface StoredRow {
  uri: string;
  record: { text?: string } & Record<string, unknown>;
  rev: string;
}

export async function rowsOf(db: Database): Promise<StoredRow[]> {
  const rows = await db.all<{ uri: string; record: string; rev: string }>(
    "SELECT uri, record, rev FROM happyview_records ORDER BY uri",
  );
  return rows.map((row) => ({ ...row, record: JSON.parse(row.record) as StoredRow["record"] }));
}

export async function textsOf(db: Database): Promise<Record<string, string | undefined>> {
  return Object.fromEntries((await rowsOf(db)).map((row) => [row.uri.split("/").at(-1), row.record.text]));
}

/** Lets everything run that is ready to, without waiting for a time. */
export async function turns(n = 20): Promise<void> {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve));
}
