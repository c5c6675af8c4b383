import { setImmediate as nextTurn } from "node:timers/promises";
import type { BulkInsert, Queries } from "../db/database.ts";
import type { Clock } from "../clock.ts";
import { atUri, type AppliedChange, type CommitEvent } from "./change.ts";
import { extractRefs } from "./refs.ts";
import { isStale, type Known } from "./stale.ts";
import { accountsOf, storedOf, type RecordTable, type Stored } from "./stored.ts";

const upsert = (table: string): BulkInsert => ({
  table,
  columns: {
    uri: "text",
    did: "text",
    collection: "text",
    rkey: "text",
    record: "text",
    cid: "text",
    rev: "text",
    indexed_at: "text",
    created_at: "text",
  },
  onConflict:
    "(uri) DO UPDATE SET record = excluded.record, cid = excluded.cid, rev = excluded.rev, indexed_at = excluded.indexed_at",
});
const intoRecords = upsert("happyview_records");
const intoWithheld = upsert("happyview_withheld_records");

export const intoRefs: BulkInsert = {
  table: "happyview_record_refs",
  columns: { source_uri: "text", target_uri: "text", collection: "text" },
  onConflict: "DO NOTHING",
};
const intoTombstones: BulkInsert = {
  table: "happyview_record_tombstones",
  columns: { uri: "text", rev: "text", deleted_at: "text" },
  onConflict: "(uri) DO UPDATE SET rev = excluded.rev, deleted_at = excluded.deleted_at",
};

/** Commits whose statements are made in one turn of the event loop: requests wait for it to end. */
const atOnce = 250;

/** Writes a batch of operations, given in the order they happened, and tells which were applied: stale ones are not. */
export async function writeCommits(
  tx: Queries,
  events: readonly CommitEvent[],
  clock: Clock,
): Promise<AppliedChange[]> {
  if (events.length === 0) return [];
  // Asked at once: each answer that is waited for alone costs a turn of the event loop.
  const [accounts, stored] = await Promise.all([
    accountsOf(tx, events),
    storedOf(tx, "happyview_records", events),
  ]);
  const current = events.filter(
    (event) => event.rev === "" || event.rev >= (accounts.get(event.did)?.voidBefore ?? ""),
  );
  const isWithheld = (event: CommitEvent): boolean => accounts.get(event.did)?.withheld ?? false;
  const visible = current.filter((event) => !isWithheld(event));
  const applied = await writeTo(tx, "happyview_records", visible, stored, clock);
  // What an account commits while it is inactive is kept, unseen, until it is active again.
  const withheld = current.filter(isWithheld);
  if (withheld.length > 0) {
    const table = "happyview_withheld_records";
    await writeTo(tx, table, withheld, await storedOf(tx, table, withheld), clock);
  }
  return applied;
}

async function writeTo(
  tx: Queries,
  table: RecordTable,
  events: readonly CommitEvent[],
  stored: Stored,
  clock: Clock,
): Promise<AppliedChange[]> {
  const applied: AppliedChange[] = [];
  const written: Promise<unknown>[] = [];
  let hasFailed = false;
  for (let at = 0; at < events.length; at += atOnce) {
    if (at > 0) await nextTurn();
    if (hasFailed) break;
    const { last, changes } = fold(events.slice(at, at + atOnce), stored);
    applied.push(...changes);
    const writing = writeLast(tx, table, last, clock);
    writing.catch(() => (hasFailed = true)); // it is waited for below
    written.push(writing);
  }
  await Promise.all(written);
  return applied;
}

/** What a record ends up as, and what was stored of it before. */
interface LastWrite {
  event: CommitEvent;
  /** Null when it is deleted. */
  text: string | null;
  /** Of the row, or of the tombstone that is to be written; "" for none. */
  rev: string;
  /** There is to be one, written now or before. */
  tombstone: boolean;
  before: Known | undefined;
}

/** Takes events into what is known, as writing them will make it. */
function fold(
  events: readonly CommitEvent[],
  { known, rows: stored }: Stored,
): { last: Map<string, LastWrite>; changes: AppliedChange[] } {
  const changes: AppliedChange[] = [];
  const last = new Map<string, LastWrite>();
  for (const event of events) {
    const uri = atUri(event.did, event.collection, event.rkey);
    const state = known.get(uri);
    if (isStale(event, state)) continue;
    const text = event.action === "delete" ? null : (event.text ?? JSON.stringify(event.record));
    const row = event.isSnapshot && state?.rev === event.rev ? stored.get(uri) : undefined;
    if (row?.record === text) continue; // as it is already
    if (row?.cid === "" && event.cid !== "") continue; // written by a script since then, here alone
    changes.push(toApplied(event, uri, state?.exists ?? false, text));
    const { before, ...previous } = last.get(uri) ?? { before: state };
    const rev = event.rev || (text === null ? buriedAt(previous) : (state?.rev ?? ""));
    const tombstone = text === null && (event.rev !== "" || (state?.tombstone ?? false));
    if (text === null) stored.delete(uri);
    else stored.set(uri, { uri, rev, record: text, cid: event.cid });
    known.set(uri, {
      rev: rev || (tombstone ? (state?.rev ?? "") : ""),
      exists: text !== null,
      tombstone,
    });
    last.delete(uri); // the order of arrival is the order of each record's last write
    last.set(uri, { event, text, rev, tombstone, before });
  }
  return { last, changes };
}

/** The rev of the tombstone that a deletion before this one has not written yet. */
function buriedAt({ text, rev = "" }: Partial<LastWrite>): string {
  return text === null ? rev : "";
}

async function writeLast(
  tx: Queries,
  table: RecordTable,
  last: ReadonlyMap<string, LastWrite>,
  clock: Clock,
): Promise<void> {
  const rows: string[][] = [];
  const refs: string[][] = [];
  const replaced: string[] = [];
  const revived: string[] = [];
  const removed: string[] = [];
  const tombstones: string[][] = [];
  for (const [uri, { event, text, rev, tombstone, before }] of last) {
    const now = clock.timestamp();
    if (before?.tombstone && !tombstone) revived.push(uri);
    if (text === null) {
      if (before?.exists) removed.push(uri);
      if (rev !== "") tombstones.push([uri, rev, now]);
      continue;
    }
    const { did, collection, rkey, record, cid } = event;
    rows.push([uri, did, collection, rkey, text, cid, rev, now, now]);
    for (const target of extractRefs(record)) refs.push([uri, target, collection]);
    if (before?.exists) replaced.push(uri);
  }
  const isVisible = table === "happyview_records";
  // Statements of a transaction run in the order of asking.
  await Promise.all([
    isVisible && tx.deleteByKeys("happyview_record_refs", "source_uri", replaced),
    tx.deleteByKeys(table, "uri", removed),
    tx.insertMany(intoTombstones, tombstones),
    tx.deleteByKeys("happyview_record_tombstones", "uri", revived),
    tx.insertMany(isVisible ? intoRecords : intoWithheld, rows),
    isVisible && tx.insertMany(intoRefs, refs),
  ]);
}

function toApplied(event: CommitEvent, uri: string, exists: boolean, record: string | null): AppliedChange {
  const { did, collection, rkey, cid } = event;
  const action = record === null ? "delete" : exists ? "update" : "create";
  return { action, uri, did, collection, rkey, cid, record };
}
