import type { Queries } from "../db/database.ts";
import type { AppliedChange, SyncEvent } from "./change.ts";

/**
 * Folds the new beginning of a repo into the index: what is older than its rev is gone, and void if it comes late. What
 * the repo has now comes as commits with a rev that is no older. Records without a rev are not the network's.
 */
export async function applySync(tx: Queries, { did, rev }: SyncEvent): Promise<AppliedChange[]> {
  const isOlder = "did = ? AND rev <> '' AND rev < ?";
  const removed = await tx.all<{ uri: string; collection: string; rkey: string }>(
    `SELECT uri, collection, rkey FROM happyview_records WHERE ${isOlder}`,
    [did, rev],
  );
  if (!(await voidBefore(tx, did, rev))) return [];
  await tx.run(`DELETE FROM happyview_records WHERE ${isOlder}`, [did, rev]);
  await tx.run(`DELETE FROM happyview_withheld_records WHERE ${isOlder}`, [did, rev]);
  return removed.map((record) => ({ action: "delete", did, ...record, cid: "", record: null }));
}

/** False for a repo we have nothing of: remembering each repo of the network would be a table of them all. */
async function voidBefore(tx: Queries, did: string, rev: string): Promise<boolean> {
  const known = await tx.get(
    `SELECT did FROM happyview_accounts WHERE did = ? UNION ALL SELECT did FROM happyview_records WHERE did = ?
     UNION ALL SELECT did FROM happyview_withheld_records WHERE did = ? LIMIT 1`,
    [did, did, did],
  );
  if (!known) return false;
  await tx.run(
    `INSERT INTO happyview_accounts (did, status, status_rev, void_before) VALUES (?, 'active', '', ?)
     ON CONFLICT (did) DO UPDATE SET void_before = excluded.void_before
       WHERE happyview_accounts.void_before < excluded.void_before`,
    [did, rev],
  );
  return true;
}
