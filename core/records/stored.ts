import type { Queries } from "../db/database.ts";
import { atUri, type CommitEvent } from "./change.ts";
import type { Known } from "./stale.ts";

export type RecordTable = "happyview_records" | "happyview_withheld_records";

/** Of those that the index knows, whether what they commit stays unseen, and the rev before which nothing counts. */
export async function accountsOf(
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
export interface Stored {
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

export async function storedOf(
  tx: Queries,
  table: RecordTable,
  events: readonly CommitEvent[],
): Promise<Stored> {
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
