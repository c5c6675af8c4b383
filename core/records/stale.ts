import type { Queries } from "../db/database.ts";
import type { CommitEvent } from "./change.ts";

/** What the index knows of a URI. */
export interface Known {
  /** The greatest one seen. */
  rev: string;
  exists: boolean;
  tombstone: boolean;
}

/**
 * Whether the index has something newer, or the same: sources repeat and reorder, and a tombstone keeps a late create
 * from bringing a deleted record back. A snapshot of the rev that is known is no repetition; see `isSnapshot`.
 */
export function isStale(event: CommitEvent, known: Pick<Known, "rev" | "exists"> | undefined): boolean {
  if (event.rev === "" || !known || event.rev > known.rev) return false;
  const isSame = event.rev === known.rev && known.exists;
  return !(event.isSnapshot && isSame);
}

/** Whether an event is stale by what is stored, its account's end included. */
export async function isStaleIn(db: Queries, event: CommitEvent, uri: string): Promise<boolean> {
  if (event.rev === "") return false;
  const row = await db.get<{ record: string | null; tombstone: string | null; void_before: string | null }>(
    `SELECT
       (SELECT max(rev) FROM (SELECT rev FROM happyview_records WHERE uri = ?
          UNION ALL SELECT rev FROM happyview_withheld_records WHERE uri = ?) AS stored) AS record,
       (SELECT rev FROM happyview_record_tombstones WHERE uri = ?) AS tombstone,
       (SELECT void_before FROM happyview_accounts WHERE did = ?) AS void_before`,
    [uri, uri, uri, event.did],
  );
  if (!row) return false;
  if (event.rev < (row.void_before ?? "")) return true;
  const [record, tombstone] = [row.record ?? "", row.tombstone ?? ""];
  const rev = record > tombstone ? record : tombstone;
  return isStale(event, { rev, exists: record > tombstone });
}
