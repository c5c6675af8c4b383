import type { Clock } from "../clock.ts";
import type { BulkInsert, Database } from "../db/database.ts";
import { atUri } from "./change.ts";
import { extractRefs } from "./refs.ts";
import type { RecordStore } from "./store.ts";
import { intoRefs } from "./write.ts";

export interface LocalRecord {
  did: string;
  collection: string;
  rkey: string;
  /** JSON text of the body. */
  record: string;
  /** Of a write that the PDS has confirmed; "" for one that only this index knows. @default "" */
  cid?: string;
}

export interface StoredLocally {
  uri: string;
  collection: string;
  cid: string;
  record: string;
}

/** Writes to the index itself, without an event: no interceptor runs, and no hook is called. */
export interface LocalRecords {
  /** Creates or replaces; the URI. What the network said of a row (rev, indexed_at) stays, so later events still win. */
  put(record: LocalRecord): Promise<string>;
  /** False when there is no such record. */
  remove(uri: string): Promise<boolean>;
  /** Those that exist, in any order. */
  get(uris: readonly string[]): Promise<StoredLocally[]>;
}

const intoRecords: BulkInsert = {
  table: "happyview_records",
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
  onConflict: "(uri) DO UPDATE SET record = excluded.record, cid = excluded.cid",
};

export function createLocalRecords(
  db: Database,
  store: Pick<RecordStore, "remove">,
  clock: Clock,
): LocalRecords {
  return {
    async put({ did, collection, rkey, record, cid = "" }) {
      const uri = atUri(did, collection, rkey);
      const refs = [...extractRefs(JSON.parse(record))].map((target) => [uri, target, collection]);
      await db.transaction(async (tx) => {
        await tx.lock([did]); // an event of the same record is written before or after, never in between
        await tx.deleteByKeys("happyview_record_refs", "source_uri", [uri]);
        // No event has been seen of it: it has no indexed_at, and its rev is older than every other.
        const row = [uri, did, collection, rkey, record, cid, "", null, clock.timestamp()];
        await tx.insertMany(intoRecords, [row]);
        await tx.insertMany(intoRefs, refs);
      });
      return uri;
    },
    remove: (uri) => store.remove(uri),
    get: (uris) =>
      db.selectByKeys<StoredLocally>("SELECT uri, collection, cid, record FROM happyview_records", "uri", [
        ...new Set(uris),
      ]),
  };
}
