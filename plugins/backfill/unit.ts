/** What is left to do of one account: stored after every page, so that a stop at any point costs one page. */
export interface Progress {
  /** Whose pages these are: an account that has moved is listed from the beginning. */
  pds: string;
  /**
   * The repo's rev when its listing began. Everything listed is at least that new, so it is the rev of all that is
   * written: a later live event is newer, an earlier one is older.
   */
  rev: string;
  /** Collections listed to their end. */
  done: string[];
  /** Where the listing of the next collection goes on; null when only what vanished is left to look for. */
  at?: { collection: string; cursor: string | null };
  /** Records so far that are not what their CIDs say. */
  rejected?: number;
  /** Records so far that are larger than any may be. */
  oversized?: number;
  /** Pages so far: whatever a host does between them, they have an end. */
  pages?: number;
}

export type UnitStatus = "pending" | "running" | "retrying" | "completed" | "failed";

/** One account of one job. */
export interface Unit {
  did: string;
  pdsEndpoint: string | null;
  /** The collections it was found under. */
  collections: string[];
  progress: Progress | null;
  records: number;
  removed: number;
  /** Attempts in a row that brought nothing. */
  attempts: number;
}

export interface UnitRow {
  did: string;
  pds_endpoint: string | null;
  collections: string;
  progress: string | null;
  records_fetched: number;
  records_removed: number;
  attempts: number;
}

export const unitColumns =
  "did, pds_endpoint, collections, progress, records_fetched, records_removed, attempts";

export function toUnit(row: UnitRow): Unit {
  return {
    did: row.did,
    pdsEndpoint: row.pds_endpoint,
    collections: row.collections.split(" "),
    progress: row.progress === null ? null : (JSON.parse(row.progress) as Progress), // written by the ledger alone
    records: row.records_fetched,
    removed: row.records_removed,
    attempts: row.attempts,
  };
}
