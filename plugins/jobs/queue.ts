import type { PluginApp } from "../../core/index.ts";
import type { Queries, SqlValue } from "../../core/db/database.ts";
import { jobColumns as columns, type JobRow, type JobStatus } from "./job.ts";

export interface NewJob {
  id: string;
  type: string;
  input: string;
  createdBy: string | null;
  auth: boolean;
}

export type Act = "cancel" | "pause" | "resume";

/**
 * The jobs in the database. Whoever claims one holds it under a token and for as long as its lease, and every later
 * write names the token: a process that was thought dead cannot touch a job that another one took over.
 */
export interface Queue {
  add(job: NewJob): Promise<void>;
  /** The oldest job that waits, now running and held under `token`. */
  claim(token: string): Promise<JobRow | undefined>;
  /** Prolongs the lease; undefined when the job is no longer held under the token. */
  extend(id: string, token: string): Promise<JobStatus | undefined>;
  status(id: string, token: string): Promise<JobStatus | undefined>;
  /** False when the job is no longer held under the token. */
  progress(id: string, token: string, json: string): Promise<boolean>;
  /** The handler returned: completed, or what it was asked to become meanwhile (lua §1.7). */
  settle(id: string, token: string, result: string): Promise<JobRow | undefined>;
  fail(id: string, token: string, error: string): Promise<JobRow | undefined>;
  /** Gives the job back unfinished. */
  release(id: string, token: string): Promise<JobRow | undefined>;
  /** Gives back what is held by processes that are gone. */
  recover(): Promise<JobRow[]>;
  /** What an admin asks for; undefined when the job's status does not allow it. */
  act(id: string, act: Act): Promise<JobRow | undefined>;
}

const unclaimed = "claimed_by = NULL, lease_until = NULL";

/** A job that nobody works on any more, by what was asked of it (lua §1.7, restart recovery). */
const givenBack = `status = CASE status WHEN 'running' THEN 'pending' WHEN 'pausing' THEN 'paused' ELSE 'cancelled' END,
  completed_at = CASE status WHEN 'cancelling' THEN ? ELSE completed_at END, ${unclaimed}`;

const acts: Record<Act, { from: string; set: string }> = {
  cancel: {
    from: "'pending', 'paused', 'running', 'pausing', 'cancelling'",
    set: `status = CASE WHEN status IN ('pending', 'paused') THEN 'cancelled' ELSE 'cancelling' END,
      completed_at = CASE WHEN status IN ('pending', 'paused') THEN ? ELSE completed_at END`,
  },
  pause: { from: "'running'", set: "status = 'pausing'" },
  resume: { from: "'paused'", set: "status = 'pending', error = NULL, completed_at = NULL" },
};

export function createQueue({ db, clock }: Pick<PluginApp, "db" | "clock">, leaseMs: number): Queue {
  // The database's own time: the clocks of several machines need not agree.
  const now =
    db.dialect === "sqlite"
      ? "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
      : "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
  const lock = db.dialect === "sqlite" ? "" : "FOR UPDATE SKIP LOCKED"; // a transaction on SQLite excludes all others
  const lease = Math.round(leaseMs);

  const change = <T>(work: (tx: Queries) => Promise<T>): Promise<T> => db.transaction(work);
  const update = (set: string, where: string, params: readonly SqlValue[]): Promise<JobRow | undefined> =>
    change((tx) =>
      tx.get<JobRow>(`UPDATE happyview_jobs SET ${set} WHERE ${where} RETURNING ${columns}`, params),
    );

  return {
    async add({ id, type, input, createdBy, auth }) {
      await db.run(
        "INSERT INTO happyview_jobs (id, job_type, input, created_by, inherit_auth, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        [id, type, input, createdBy, auth, clock.timestamp()],
      );
    },
    async claim(token) {
      // Asked of the reader first: an idle queue must not take the writer from live events.
      const waits = await db.get("SELECT 1 AS one FROM happyview_jobs WHERE status = 'pending' LIMIT 1");
      if (!waits) return undefined;
      return update(
        `status = 'running', started_at = ?, claimed_by = ?, lease_until = ${now} + ${lease}`,
        `status = 'pending' AND id = (SELECT id FROM happyview_jobs WHERE status = 'pending'
           ORDER BY created_at, id LIMIT 1 ${lock})`,
        [clock.timestamp(), token],
      );
    },
    async extend(id, token) {
      const row = await update(`lease_until = ${now} + ${lease}`, "id = ? AND claimed_by = ?", [id, token]);
      return row?.status;
    },
    async status(id, token) {
      const row = await db.get<{ status: JobStatus }>(
        "SELECT status FROM happyview_jobs WHERE id = ? AND claimed_by = ?",
        [id, token],
      );
      return row?.status;
    },
    async progress(id, token, json) {
      const changed = await db.run("UPDATE happyview_jobs SET progress = ? WHERE id = ? AND claimed_by = ?", [
        json,
        id,
        token,
      ]);
      return changed > 0;
    },
    settle: (id, token, result) =>
      update(
        `status = CASE status WHEN 'pausing' THEN 'paused' WHEN 'cancelling' THEN 'cancelled' ELSE 'completed' END,
         result = CASE status WHEN 'running' THEN ? ELSE result END,
         completed_at = CASE status WHEN 'pausing' THEN completed_at ELSE ? END, ${unclaimed}`,
        "id = ? AND claimed_by = ?",
        [result, clock.timestamp(), id, token],
      ),
    fail: (id, token, error) =>
      update(`status = 'failed', error = ?, completed_at = ?, ${unclaimed}`, "id = ? AND claimed_by = ?", [
        error,
        clock.timestamp(),
        id,
        token,
      ]),
    release: (id, token) => update(givenBack, "id = ? AND claimed_by = ?", [clock.timestamp(), id, token]),
    async recover() {
      const abandoned = `status IN ('running', 'pausing', 'cancelling') AND (lease_until IS NULL OR lease_until < ${now})`;
      const some = await db.get(`SELECT 1 AS one FROM happyview_jobs WHERE ${abandoned} LIMIT 1`);
      if (!some) return [];
      return change((tx) =>
        tx.all<JobRow>(`UPDATE happyview_jobs SET ${givenBack} WHERE ${abandoned} RETURNING ${columns}`, [
          clock.timestamp(),
        ]),
      );
    },
    act: (id, act) =>
      update(
        acts[act].set,
        `id = ? AND status IN (${acts[act].from})`,
        act === "cancel" ? [clock.timestamp(), id] : [id],
      ),
  };
}
