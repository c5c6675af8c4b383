import type { BulkInsert, Database, Queries } from "../../core/db/database.ts";
import { databaseNow } from "./jobs.ts";
import { toUnit, unitColumns, type Unit, type UnitRow } from "./unit.ts";
import type { Failure } from "./failure.ts";

/** The accounts of a job, in the database: the queue of the work, whoever does it. */
export interface Units {
  /** Adds accounts found under a collection; one that is known learns of the collection. */
  add(tx: Queries, jobId: string, collection: string, dids: readonly string[]): Promise<void>;
  /** Takes some to work on, under a lease; none of the hosts in `except`. */
  claim(jobId: string, token: string, limit: number, except: readonly string[]): Promise<Unit[]>;
  /** Prolongs the leases. */
  extend(token: string): Promise<void>;
  /** Gives back what processes hold that are gone; and all that `token` holds, when given. */
  release(jobId: string, token?: string): Promise<void>;
  /** Units that wait for such a host fail for its reason. */
  failHost(jobId: string, host: string, failure: Failure): Promise<void>;
  retryFailed(jobId: string): Promise<number>;
  /** Unfinished ones. */
  left(jobId: string): Promise<number>;
}

const found: BulkInsert = {
  table: "happyview_backfill_repos",
  columns: { job_id: "text", did: "text", collections: "text" },
  onConflict: `(job_id, did) DO UPDATE SET
    collections = happyview_backfill_repos.collections || ' ' || excluded.collections,
    status = CASE happyview_backfill_repos.status WHEN 'completed' THEN 'pending' ELSE happyview_backfill_repos.status END
    WHERE ' ' || happyview_backfill_repos.collections || ' ' NOT LIKE '% ' || excluded.collections || ' %'`,
};

export function createUnits(db: Database, leaseMs: number): Units {
  const now = databaseNow(db);
  const lease = Math.round(leaseMs);
  const lock = db.dialect === "sqlite" ? "" : "FOR UPDATE SKIP LOCKED"; // a transaction on SQLite excludes all others
  const isExcepted =
    db.dialect === "sqlite"
      ? "pds_endpoint IN (SELECT value FROM json_each(?))"
      : "pds_endpoint IN (SELECT json_array_elements_text(?::json))";

  const take = (tx: Queries, status: string, jobId: string, token: string, limit: number, except: string) =>
    tx.all<UnitRow>(
      `UPDATE happyview_backfill_repos SET status = 'running', claimed_by = ?, lease_until = ${now} + ${lease}
       WHERE job_id = ? AND did IN (
         SELECT did FROM happyview_backfill_repos
         WHERE job_id = ? AND status = '${status}' ${status === "retrying" ? `AND not_before <= ${now}` : ""}
           AND (pds_endpoint IS NULL OR NOT ${isExcepted})
         ORDER BY did LIMIT ? ${lock})
       RETURNING ${unitColumns}`,
      [token, jobId, jobId, except, limit],
    );

  return {
    async add(tx, jobId, collection, dids) {
      // In one order everywhere, so that two transactions on Postgres cannot wait for each other.
      await tx.insertMany(
        found,
        [...new Set(dids)].toSorted().map((did) => [jobId, did, collection]),
      );
    },
    async claim(jobId, token, limit, except) {
      const excepted = JSON.stringify(except);
      return db.transaction(async (tx) => {
        const rows = await take(tx, "retrying", jobId, token, limit, excepted);
        if (rows.length < limit)
          rows.push(...(await take(tx, "pending", jobId, token, limit - rows.length, excepted)));
        return rows.map(toUnit);
      });
    },
    async extend(token) {
      await db.run(
        `UPDATE happyview_backfill_repos SET lease_until = ${now} + ${lease} WHERE claimed_by = ?`,
        [token],
      );
    },
    async release(jobId, token) {
      const mine = token === undefined ? `lease_until < ${now}` : "claimed_by = ?";
      await db.run(
        `UPDATE happyview_backfill_repos SET status = 'pending', claimed_by = NULL
         WHERE job_id = ? AND status = 'running' AND ${mine}`,
        token === undefined ? [jobId] : [jobId, token],
      );
    },
    async failHost(jobId, host, { kind, message }) {
      await db.run(
        `UPDATE happyview_backfill_repos SET status = 'failed', error_kind = ?, error = ?
         WHERE job_id = ? AND pds_endpoint = ? AND status IN ('pending', 'retrying')`,
        [kind, message, jobId, host],
      );
    },
    retryFailed: (jobId) =>
      db.run(
        `UPDATE happyview_backfill_repos SET status = 'pending', attempts = 0, not_before = 0, error_kind = NULL, error = NULL,
           pds_endpoint = NULL
         WHERE job_id = ? AND status = 'failed'`,
        [jobId],
      ),
    async left(jobId) {
      const row = await db.get<{ n: number }>(
        `SELECT count(*) AS n FROM happyview_backfill_repos WHERE job_id = ? AND status IN ('pending', 'running', 'retrying')`,
        [jobId],
      );
      return row?.n ?? 0;
    },
  };
}
