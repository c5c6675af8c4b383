import type { BulkInsert, Queries } from "../db/database.ts";
import type { Clock } from "../clock.ts";
import { atUri, type AppliedChange, type CommitEvent } from "./change.ts";
import { extractRefs } from "./refs.ts";
import { isStale, type Known } from "./stale.ts";

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
type RecordTable = "happyview_records" | "happyview_withheld_records";
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

async function accountsOf(
  tx: Queries,
  events: readonly CommitEvent[],
): Promise<Map<string, { withheld: boolean; voidBefore: string }>> {
  const rows = await tx.selectByKeys<{ did: string; status: string; void_before: string }>(
    "SELECT did, status, void_before FROM happyview_accounts",
    "did",
    [...new Set(events.map((event) => event.did))],
  );
  return new Map(
    rows.map((row) => [row.did, { withheld: row.status !== "active", voidBefore: row.void_before }]),
  );
}

/** What is stored of the records that events are about. */
interface Stored {
  known: Map<string, Known>;
  rows: Map<string, StoredRow>;
}

interface StoredRow {
  uri: string;
  rev: string;
  /** Only where records are read anew. */
  record?: string;
  cid?: string;
}

async function storedOf(tx: Queries, table: RecordTable, events: readonly CommitEvent[]): Promise<Stored> {
  const uris = [...new Set(events.map((event) => atUri(event.did, event.collection, event.rkey)))];
  const columns = events.some(({ isSnapshot }) => isSnapshot) ? "uri, rev, record, cid" : "uri, rev";
  const select = <Row>(sql: string): Promise<Row[]> => tx.selectByKeys<Row>(sql, "uri", uris);
  const [tombstones, rows] = await Promise.all([
    select<{ uri: string; rev: string }>("SELECT uri, rev FROM happyview_record_tombstones"),
    select<StoredRow>(`SELECT ${columns} FROM ${table}`),
  ]);
  const known = new Map<string, Known>(
    tombstones.map(({ uri, rev }) => [uri, { rev, exists: false, tombstone: true }]),
  );
  for (const { uri, rev } of rows) {
    const tombstone = known.get(uri);
    known.set(uri, {
      rev: tombstone && tombstone.rev > rev ? tombstone.rev : rev,
      exists: true,
      tombstone: tombstone !== undefined,
    });
  }
  return { known, rows: new Map(rows.map((row) => [row.uri, row])) };
}

async function writeTo(
  tx: Queries,
  table: RecordTable,
  events: readonly CommitEvent[],
  { known, rows: stored }: Stored,
  clock: Clock,
): Promise<AppliedChange[]> {
  if (events.length === 0) return [];
  const before = new Map([...known].map(([uri, state]) => [uri, { ...state }]));
  const applied: AppliedChange[] = [];
  const last = new Map<string, { event: CommitEvent; text: string | null }>();
  for (const event of events) {
    const uri = atUri(event.did, event.collection, event.rkey);
    const state = known.get(uri);
    if (isStale(event, state)) continue;
    const text = event.action === "delete" ? null : (event.text ?? JSON.stringify(event.record));
    const row = event.isSnapshot && state?.rev === event.rev ? stored.get(uri) : undefined;
    if (row?.record === text) continue; // as it is already
    if (row?.cid === "" && event.cid !== "") continue; // written by a script since then, here alone
    stored.delete(uri);
    applied.push(toApplied(event, uri, state?.exists ?? false, text));
    known.set(uri, {
      rev: event.rev || (state?.rev ?? ""),
      exists: event.action !== "delete",
      tombstone: false,
    });
    last.delete(uri); // the order of arrival is the order of each record's last write
    last.set(uri, { event, text });
  }
  await writeLast(tx, table, last, before, clock);
  return applied;
}

async function writeLast(
  tx: Queries,
  table: RecordTable,
  last: ReadonlyMap<string, { event: CommitEvent; text: string | null }>,
  before: ReadonlyMap<string, Known>,
  clock: Clock,
): Promise<void> {
  const rows: string[][] = [];
  const refs: string[][] = [];
  const replaced: string[] = [];
  const revived: string[] = [];
  const removed: string[] = [];
  const tombstones: string[][] = [];
  for (const [uri, { event, text }] of last) {
    const state = before.get(uri);
    const now = clock.timestamp();
    if (text === null) {
      if (state?.exists) removed.push(uri);
      if (event.rev !== "") tombstones.push([uri, event.rev, now]);
      continue;
    }
    const { did, collection, rkey, record, cid, rev } = event;
    rows.push([uri, did, collection, rkey, text, cid, rev || (state?.rev ?? ""), now, now]);
    for (const target of extractRefs(record)) refs.push([uri, target, collection]);
    if (state?.exists) replaced.push(uri);
    if (state?.tombstone) revived.push(uri);
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
