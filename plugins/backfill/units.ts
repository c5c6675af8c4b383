import type { BulkInsert, Database, Queries } from "../../core/db/database.ts";
import { databaseNow } from "../../core/db/now.ts";
import { toUnit, unitColumns, type Unit, type UnitRow } from "./unit.ts";
import type { Failure } from "./failure.ts";

/** The accounts of a job, in the database: the queue of the work, whoever does it. */
export interface Units {
  /** Adds accounts found under a collection; one that is known learns of the collection. */
  add(tx: Queries, jobId: string, collection: string, dids: readonly string[]): Promise<void>;
  /** Takes some of a host to work on, under a lease; with null, of those whose host is not known yet. */
  claim(jobId: string, token: string, host: string | null, limit: number): Promise<Unit[]>;
  /** The hosts of units that wait. */
  waitingHosts(jobId: string): Promise<string[]>;
  /** Prolongs the leases. */
  extend(token: string): Promise<void>;
  /** Gives back what processes hold that are gone; and all that `token` holds, when given. */
  release(jobId: string, token?: string): Promise<void>;
  /** Units that wait for such a host fail for its reason; `failed` hears of them. */
  failHost(
    jobId: string,
    host: string,
    failure: Failure,
    failed: (dids: readonly string[]) => Promise<void>,
  ): Promise<void>;
  /** Queues what failed once more, the search for repos too; how many that were. */
  retryFailed(tx: Queries, jobId: string): Promise<number>;
  /** Unfinished ones. */
  left(jobId: string): Promise<number>;
}

/** A host may have millions of them: no transaction is to be long. */
const failAtOnce = 1000;

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
  const isDue = `(status = 'pending' OR (status = 'retrying' AND not_before <= ${now}))`;
  const ofHost = (host: string | null): string =>
    host === null ? "pds_endpoint IS NULL" : "pds_endpoint = ?";

  return {
    async add(tx, jobId, collection, dids) {
      // In one order everywhere, so that two transactions on Postgres cannot wait for each other.
      await tx.insertMany(
        found,
        [...new Set(dids)].toSorted().map((did) => [jobId, did, collection]),
      );
    },
    async claim(jobId, token, host, limit) {
      const of = host === null ? [jobId] : [jobId, host];
      const waits = `job_id = ? AND status IN ('pending', 'retrying') AND ${ofHost(host)} AND ${isDue}`;
      // Asked of the reader first: an idle job must not take the writer from live events.
      const some = await db.get(`SELECT 1 AS one FROM happyview_backfill_repos WHERE ${waits} LIMIT 1`, of);
      if (!some) return [];
      const rows = await db.transaction((tx) =>
        tx.all<UnitRow>(
          // Materialized: inside of IN it would be asked anew for row after row, and each time take others.
          `WITH picked AS MATERIALIZED (
             SELECT did FROM happyview_backfill_repos WHERE ${waits} LIMIT ? ${lock})
           UPDATE happyview_backfill_repos SET status = 'running', claimed_by = ?, lease_until = ${now} + ${lease}
           WHERE job_id = ? AND did IN (SELECT did FROM picked)
           RETURNING ${unitColumns}`,
          [...of, limit, token, jobId],
        ),
      );
      return rows.map(toUnit);
    },
    async waitingHosts(jobId) {
      const rows = await db.all<{ host: string }>(
        `SELECT DISTINCT pds_endpoint AS host FROM happyview_backfill_repos
         WHERE job_id = ? AND status IN ('pending', 'retrying') AND pds_endpoint IS NOT NULL AND ${isDue}`,
        [jobId],
      );
      return rows.map(({ host }) => host);
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
    async failHost(jobId, host, { kind, message }, failed) {
      for (;;) {
        const rows = await db.transaction((tx) =>
          tx.all<{ did: string }>(
            `WITH picked AS MATERIALIZED (
               SELECT did FROM happyview_backfill_repos
               WHERE job_id = ? AND pds_endpoint = ? AND status IN ('pending', 'retrying') LIMIT ${failAtOnce} ${lock})
             UPDATE happyview_backfill_repos SET status = 'failed', error_kind = ?, error = ?
             WHERE job_id = ? AND did IN (SELECT did FROM picked) RETURNING did`,
            [jobId, host, kind, message, jobId],
          ),
        );
        if (rows.length === 0) return;
        await failed(rows.map(({ did }) => did));
      }
    },
    async retryFailed(tx, jobId) {
      const repos = await tx.run(
        `UPDATE happyview_backfill_repos SET status = 'pending', attempts = 0, not_before = 0, error_kind = NULL,
           error = NULL, pds_endpoint = NULL
         WHERE job_id = ? AND status = 'failed'`,
        [jobId],
      );
      const collections = await tx.run(
        "UPDATE happyview_backfill_discovery SET status = 'pending', error = NULL WHERE job_id = ? AND status = 'failed'",
        [jobId],
      );
      return repos + collections;
    },
    async left(jobId) {
      const row = await db.get<{ n: number }>(
        `SELECT count(*) AS n FROM happyview_backfill_repos WHERE job_id = ? AND status IN ('pending', 'running', 'retrying')`,
        [jobId],
      );
      return row?.n ?? 0;
    },
  };
}
