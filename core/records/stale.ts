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
export type StaleCheck = (event: CommitEvent, uri: string) => Promise<boolean>;

interface Asked {
  event: CommitEvent;
  uri: string;
  answered: PromiseWithResolvers<boolean>;
}

/** What is asked while the database answers is asked of it together. */
export function createStaleCheck(db: Queries): StaleCheck {
  let asked: Asked[] = [];
  let isAsking = false;

  async function askAll(): Promise<void> {
    isAsking = true;
    while (asked.length > 0) {
      const batch = asked;
      asked = [];
      try {
        const isStaleNow = await storedRevs(db, batch);
        for (const { event, uri, answered } of batch) answered.resolve(isStaleNow(event, uri));
      } catch (error) {
        for (const { answered } of batch) answered.reject(error);
      }
    }
    isAsking = false;
  }

  return (event, uri) => {
    if (event.rev === "") return Promise.resolve(false);
    const answered = Promise.withResolvers<boolean>();
    asked.push({ event, uri, answered });
    if (!isAsking) void askAll();
    return answered.promise;
  };
}

async function storedRevs(
  db: Queries,
  asked: readonly Asked[],
): Promise<(event: CommitEvent, uri: string) => boolean> {
  const uris = [...new Set(asked.map(({ uri }) => uri))];
  const dids = [...new Set(asked.map(({ event }) => event.did))];
  const revsIn = async (table: string): Promise<Map<string, string>> => {
    const select = `SELECT uri, rev FROM happyview_${table}`;
    const rows = await db.selectByKeys<{ uri: string; rev: string }>(select, "uri", uris);
    return new Map(rows.map(({ uri, rev }) => [uri, rev]));
  };
  const [records, withheld, tombstones, accounts] = await Promise.all([
    revsIn("records"),
    revsIn("withheld_records"),
    revsIn("record_tombstones"),
    db.selectByKeys<{ did: string; void_before: string }>(
      "SELECT did, void_before FROM happyview_accounts",
      "did",
      dids,
    ),
  ]);
  const voidBefore = new Map(accounts.map((account) => [account.did, account.void_before]));
  return (event, uri) => {
    if (event.rev < (voidBefore.get(event.did) ?? "")) return true;
    const [seen = "", set = ""] = [records.get(uri), withheld.get(uri)];
    const record = seen > set ? seen : set;
    const tombstone = tombstones.get(uri) ?? "";
    const rev = record > tombstone ? record : tombstone;
    return isStale(event, { rev, exists: record > tombstone });
  };
}
