import type { Database } from "../../core/db/database.ts";

export interface Details {
  repos(
    jobId: string,
    page: { phase: string; after: string; limit: number },
  ): Promise<{ repos: Record<string, unknown>[]; cursor: string | null }>;
  /** The repos that failed, with the reason. */
  errors(
    jobId: string,
    page: { after: string; limit: number },
  ): Promise<{ errors: Record<string, unknown>[]; cursor: string | null }>;
  /** Most repos first. */
  hosts(jobId: string): Promise<Record<string, unknown>[]>;
  /** Of one job, or of all, that ended: a running job's units are what it still has to do. */
  remove(jobId?: string): Promise<void>;
}

/** What is known of each repo of a job (sync-and-xrpc §3.8). */
export function createDetails(db: Database): Details {
  const paged = <Row extends { did: string }>(
    rows: Row[],
    limit: number,
  ): { rows: Row[]; cursor: string | null } => ({
    rows: rows.slice(0, limit),
    cursor: rows.length > limit ? (rows[limit - 1]?.did ?? null) : null,
  });
  return {
    async repos(jobId, { phase, after, limit }) {
      const phases: Record<string, string> = {
        resolved: "AND pds_endpoint IS NOT NULL",
        fetched: "AND status = 'completed'",
        failed: "AND status = 'failed'",
      };
      const found = await db.all<{ did: string }>(
        `SELECT did, pds_endpoint, status, records_fetched, attempts, error_kind, error FROM happyview_backfill_repos
         WHERE job_id = ? AND did > ? ${phases[phase] ?? ""} ORDER BY did LIMIT ?`,
        [jobId, after, limit + 1],
      );
      const { rows, cursor } = paged(found, limit);
      return { repos: rows, cursor };
    },
    async errors(jobId, { after, limit }) {
      const found = await db.all<{ did: string }>(
        `SELECT did, pds_endpoint, error_kind AS kind, error AS message, attempts FROM happyview_backfill_repos
         WHERE job_id = ? AND status = 'failed' AND did > ? ORDER BY did LIMIT ?`,
        [jobId, after, limit + 1],
      );
      const { rows, cursor } = paged(found, limit);
      return { errors: rows, cursor };
    },
    async hosts(jobId) {
      const rows = await db.all<Record<string, number | string>>(
        `SELECT pds_endpoint, count(*) AS total_repos,
           sum(CASE status WHEN 'completed' THEN 1 ELSE 0 END) AS completed_repos,
           sum(CASE status WHEN 'failed' THEN 1 ELSE 0 END) AS failed_repos,
           sum(records_fetched) AS total_records
         FROM happyview_backfill_repos WHERE job_id = ? AND pds_endpoint IS NOT NULL
         GROUP BY pds_endpoint ORDER BY count(*) DESC, pds_endpoint LIMIT 10000`,
        [jobId],
      );
      // Postgres sums into numerics, which arrive as text.
      return rows.map(({ pds_endpoint, ...counts }) => ({
        pds_endpoint,
        ...Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, Number(value)])),
      }));
    },
    async remove(jobId) {
      const ended = "status IN ('completed', 'cancelled', 'failed')";
      await db.run(
        `DELETE FROM happyview_backfill_repos WHERE job_id IN (
           SELECT id FROM happyview_backfill_jobs WHERE ${ended} ${jobId === undefined ? "" : "AND id = ?"})`,
        jobId === undefined ? [] : [jobId],
      );
    },
  };
}
