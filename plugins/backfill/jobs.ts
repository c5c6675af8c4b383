import { randomUUID } from "node:crypto";
import type { PluginApp } from "../../core/index.ts";
import type { Queries, SqlValue } from "../../core/db/database.ts";
import { databaseNow } from "../../core/db/now.ts";
import { jobColumns, type JobRequest, type JobRow, type JobStatus } from "./job.ts";
import type { Plan } from "./plan.ts";

export type Act = "cancel" | "pause" | "resume" | "retry-failed";

/** The jobs in the database: every process reads what to do from here. */
export interface Jobs {
  create(request: JobRequest): Promise<JobRow>;
  get(id: string): Promise<JobRow | undefined>;
  /** Newest first. */
  list(): Promise<JobRow[]>;
  /** Those that somebody should work on or put to rest. */
  active(): Promise<{ id: string; status: JobStatus }[]>;
  /**
   * The job after it, or undefined when its status does not allow the act. What is done `within` belongs to it: neither
   * is there without the other.
   */
  act(id: string, act: Act, within?: (tx: Queries) => Promise<void>): Promise<JobRow | undefined>;
  /** A running job gets further; false when it is there already. */
  setStage(id: string, stage: "discovering_repos" | "resolving_and_fetching"): Promise<boolean>;
  setPlan(id: string, plan: Plan): Promise<void>;
  /** Counts what the units say. */
  refresh(id: string): Promise<JobRow | undefined>;
  /** Makes a request true, or completes: undefined when there is still something to do, or somebody else did it. */
  rest(id: string): Promise<JobRow | undefined>;
  fail(id: string, error: string): Promise<JobRow | undefined>;
  /** Ends a job that has nothing to do. */
  complete(id: string, error: string): Promise<JobRow | undefined>;
}

const acts: Record<Act, { from: string; set: string }> = {
  cancel: {
    from: "'running', 'paused'",
    set: `error = CASE status WHEN 'paused' THEN 'cancelled by user' ELSE error END,
      completed_at = CASE status WHEN 'paused' THEN ? ELSE completed_at END,
      status = CASE status WHEN 'paused' THEN 'cancelled' ELSE 'cancelling' END`,
  },
  pause: { from: "'running'", set: "status = 'pausing'" },
  resume: { from: "'paused'", set: "status = 'running', error = NULL" },
  "retry-failed": {
    from: "'completed'",
    set: "status = 'running', stage = 'resolving_and_fetching', error = NULL, completed_at = NULL",
  },
};

export function createJobs({ db, clock }: Pick<PluginApp, "db" | "clock">): Jobs {
  const now = databaseNow(db);
  type Update = [set: string, where: string, params: readonly SqlValue[]];
  const updateIn = (tx: Queries, ...[set, where, params]: Update): Promise<JobRow | undefined> =>
    tx.get<JobRow>(
      `UPDATE happyview_backfill_jobs SET ${set} WHERE ${where} RETURNING ${jobColumns}`,
      params,
    );
  const update = (...how: Update): Promise<JobRow | undefined> =>
    db.transaction((tx) => updateIn(tx, ...how));
  const atRest = `NOT EXISTS (SELECT 1 FROM happyview_backfill_repos r
      WHERE r.job_id = happyview_backfill_jobs.id AND r.status = 'running' AND r.lease_until >= ${now})`;
  const allDone = `NOT EXISTS (SELECT 1 FROM happyview_backfill_repos r
      WHERE r.job_id = happyview_backfill_jobs.id AND r.status IN ('pending', 'running', 'retrying'))
    AND EXISTS (SELECT 1 FROM happyview_backfill_discovery d WHERE d.job_id = happyview_backfill_jobs.id)
    AND NOT EXISTS (SELECT 1 FROM happyview_backfill_discovery d
      WHERE d.job_id = happyview_backfill_jobs.id AND d.status = 'pending')`;

  const recount = async (id: string, condition: string): Promise<JobRow | undefined> => {
    const counts = await countUnits(db, id);
    return update(
      `total_repos = ?, resolved_repos = ?, processed_repos = ?, failed_repos = ?, total_records = ?,
       removed_records = ?, error_counts = ?`,
      `id = ? AND ${condition}`,
      [...counts, id],
    );
  };

  return {
    async create({ collection, dids, method }) {
      const id = randomUUID();
      const at = clock.timestamp();
      const only = dids?.length === 1 ? (dids[0] ?? null) : null;
      await db.run(
        `INSERT INTO happyview_backfill_jobs (id, collection, did, dids, method, status, started_at, created_at)
         VALUES (?, ?, ?, ?, ?, 'running', ?, ?)`,
        [id, collection ?? null, only, dids ? JSON.stringify(dids) : null, method ?? null, at, at],
      );
      const row = await this.get(id);
      if (!row) throw new Error(`the backfill job ${id} is gone`);
      return row;
    },
    get: (id) => db.get<JobRow>(`SELECT ${jobColumns} FROM happyview_backfill_jobs WHERE id = ?`, [id]),
    list: () => db.all<JobRow>(`SELECT ${jobColumns} FROM happyview_backfill_jobs ORDER BY created_at DESC`),
    active: () =>
      db.all(
        "SELECT id, status FROM happyview_backfill_jobs WHERE status IN ('running', 'pausing', 'cancelling')",
      ),
    act(id, act, within) {
      const { from, set } = acts[act];
      const params = act === "cancel" ? [clock.timestamp(), id] : [id];
      return db.transaction(async (tx) => {
        const changed = await updateIn(tx, set, `id = ? AND status IN (${from})`, params);
        if (changed) await within?.(tx);
        return changed;
      });
    },
    async setStage(id, stage) {
      const before = stage === "discovering_repos" ? "'pending'" : "'pending', 'discovering_repos'";
      const sql = `UPDATE happyview_backfill_jobs SET stage = ? WHERE id = ? AND status = 'running' AND stage IN (${before})`;
      return (await db.run(sql, [stage, id])) > 0;
    },
    async setPlan(id, plan) {
      await db.run("UPDATE happyview_backfill_jobs SET plan = ? WHERE id = ?", [JSON.stringify(plan), id]);
    },
    refresh: (id) => recount(id, "status IN ('running', 'pausing', 'cancelling')"),
    async rest(id) {
      await this.refresh(id);
      const at = clock.timestamp();
      const notFound = `(SELECT min('the repos of ' || d.collection || ' could not all be found: ' || d.error)
        FROM happyview_backfill_discovery d WHERE d.job_id = happyview_backfill_jobs.id AND d.status = 'failed')`;
      const ended = await update(
        `error = CASE status WHEN 'cancelling' THEN 'cancelled by user' WHEN 'running' THEN ${notFound} ELSE error END,
         stage = CASE status WHEN 'running' THEN 'completed' ELSE stage END,
         completed_at = CASE status WHEN 'pausing' THEN completed_at ELSE ? END,
         status = CASE status WHEN 'pausing' THEN 'paused' WHEN 'cancelling' THEN 'cancelled' ELSE 'completed' END`,
        `id = ? AND ((status IN ('pausing', 'cancelling') AND ${atRest}) OR (status = 'running' AND ${allDone}))`,
        [at, id],
      );
      // Another process may have written its last units since the count above.
      const counted = ended && (await recount(id, "status = status"));
      // A user may have resumed it since then; this tells how it came to rest.
      return (
        counted && { ...counted, status: ended.status, error: ended.error, completed_at: ended.completed_at }
      );
    },
    fail: (id, error) =>
      update("status = 'failed', error = ?, completed_at = ?", "id = ? AND status = 'running'", [
        error,
        clock.timestamp(),
        id,
      ]),
    complete: (id, error) =>
      update(
        "status = 'completed', stage = 'completed', error = ?, completed_at = ?",
        "id = ? AND status = 'running'",
        [error, clock.timestamp(), id],
      ),
  };
}

/** In the order of refresh()'s columns. */
async function countUnits(db: Queries, id: string): Promise<SqlValue[]> {
  const row = await db.get<Record<"total" | "resolved" | "done" | "failed" | "records" | "removed", number>>(
    `SELECT count(*) AS total, count(pds_endpoint) AS resolved,
       coalesce(sum(CASE WHEN status IN ('completed', 'failed') THEN 1 ELSE 0 END), 0) AS done,
       coalesce(sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END), 0) AS failed,
       coalesce(sum(records_fetched), 0) AS records, coalesce(sum(records_removed), 0) AS removed
     FROM happyview_backfill_repos WHERE job_id = ?`,
    [id],
  );
  const kinds = await db.all<{ error_kind: string; n: number }>(
    `SELECT error_kind, count(*) AS n FROM happyview_backfill_repos
     WHERE job_id = ? AND status = 'failed' GROUP BY error_kind`,
    [id],
  );
  const { total = 0, resolved = 0, done = 0, failed = 0, records = 0, removed = 0 } = row ?? {};
  const counts = Object.fromEntries(kinds.map(({ error_kind, n }) => [error_kind, Number(n)]));
  return [...[total, resolved, done, failed, records, removed].map(Number), JSON.stringify(counts)];
}
