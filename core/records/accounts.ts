import type { Queries } from "../db/database.ts";
import type { AccountEvent } from "./change.ts";
import { extractRefs } from "./refs.ts";
import { intoRefs } from "./write.ts";

const columns = "uri, did, collection, rkey, record, cid, indexed_at, created_at, rev";

/** Inactive statuses that take the records out of sight; the others say that a host has trouble, not the account. */
const withheldStatuses = new Set(["takendown", "suspended", "deactivated"]);

/**
 * Folds an account event into the index (account hosting spec; HappyView ignores them, issue 88).
 * Deleted: commits older than the event are void, those stored and those that still arrive.
 * Taken down, suspended, deactivated: the records are set aside until the account is active again.
 * Returns false for an event older than the last one applied. What it leaves does not depend on the order of arrival.
 */
export async function applyAccount(tx: Queries, event: AccountEvent): Promise<boolean> {
  const before = await tx.get<{ status: string; status_rev: string }>(
    "SELECT status, status_rev FROM happyview_accounts WHERE did = ?",
    [event.did],
  );
  const announced = event.active ? "active" : (event.status ?? "deactivated");
  const isDeleted = announced === "deleted";
  if (before && event.rev <= before.status_rev) {
    if (isDeleted) await forgetLate(tx, event);
    return false;
  }
  // The usual case: an account we have nothing of, and nothing to remember.
  if (!before && announced === "active" && !(await hasRecords(tx, event.did))) return true;
  // Only an account that is active again comes back into sight.
  const status =
    announced === "active" || withheldStatuses.has(announced) ? announced : (before?.status ?? "active");
  if (isDeleted) await forget(tx, event);
  if (withheldStatuses.has(status)) await withhold(tx, event.did);
  else if (before && withheldStatuses.has(before.status)) await restore(tx, event.did);
  await tx.run(
    `INSERT INTO happyview_accounts (did, status, status_rev, void_before) VALUES (?, ?, ?, ?)
     ON CONFLICT (did) DO UPDATE SET status = excluded.status, status_rev = excluded.status_rev,
       void_before = CASE WHEN excluded.void_before = '' THEN happyview_accounts.void_before ELSE excluded.void_before END`,
    [event.did, status, event.rev, isDeleted ? event.rev : ""],
  );
  return true;
}

async function forget(tx: Queries, { did, rev }: AccountEvent): Promise<void> {
  await tx.run("DELETE FROM happyview_records WHERE did = ? AND rev < ?", [did, rev]);
  await tx.run("DELETE FROM happyview_withheld_records WHERE did = ? AND rev < ?", [did, rev]);
}

/** A deletion that arrives after younger news of the account still voids what is older than it. */
async function forgetLate(tx: Queries, event: AccountEvent): Promise<void> {
  await forget(tx, event);
  await tx.run("UPDATE happyview_accounts SET void_before = ? WHERE did = ? AND void_before < ?", [
    event.rev,
    event.did,
    event.rev,
  ]);
}

async function hasRecords(tx: Queries, did: string): Promise<boolean> {
  return (await tx.get("SELECT 1 AS one FROM happyview_records WHERE did = ? LIMIT 1", [did])) !== undefined;
}

async function withhold(tx: Queries, did: string): Promise<void> {
  await tx.run(
    `INSERT INTO happyview_withheld_records (${columns}) SELECT ${columns} FROM happyview_records WHERE did = ? ON CONFLICT (uri) DO NOTHING`,
    [did],
  );
  await tx.run("DELETE FROM happyview_records WHERE did = ?", [did]);
}

async function restore(tx: Queries, did: string): Promise<void> {
  const rows = await tx.all<{ uri: string; collection: string; record: string }>(
    "SELECT uri, collection, record FROM happyview_withheld_records WHERE did = ?",
    [did],
  );
  if (rows.length === 0) return;
  await tx.run(
    `INSERT INTO happyview_records (${columns}) SELECT ${columns} FROM happyview_withheld_records WHERE did = ? ON CONFLICT (uri) DO NOTHING`,
    [did],
  );
  await tx.run("DELETE FROM happyview_withheld_records WHERE did = ?", [did]);
  const refs = rows.flatMap((row) =>
    [...extractRefs(JSON.parse(row.record))].map((target) => [row.uri, target, row.collection]),
  );
  await tx.insertMany(intoRefs, refs);
}
