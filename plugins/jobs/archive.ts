import type { Database, SqlValue } from "../../core/db/database.ts";
import { jobColumns as columns, type JobLogRow, type JobRow } from "./job.ts";

/** What admins see of the jobs. */
export interface Archive {
  get(id: string): Promise<JobRow | undefined>;
  /** Newest first; `before` is the creation time of the last one seen. */
  list(filter: {
    status?: string | undefined;
    type?: string | undefined;
    before?: string | undefined;
    limit: number;
  }): Promise<JobRow[]>;
  /** Oldest first; `after` is the id of the last line seen. */
  logs(id: string, page: { after: number; limit: number }): Promise<JobLogRow[]>;
}

export function createArchive(db: Pick<Database, "all" | "get">): Archive {
  return {
    get: (id) => db.get<JobRow>(`SELECT ${columns} FROM happyview_jobs WHERE id = ?`, [id]),
    list({ status, type, before, limit }) {
      const where: string[] = [];
      const params: SqlValue[] = [];
      if (status !== undefined) {
        where.push("status = ?");
        params.push(status);
      }
      if (type !== undefined) {
        where.push("job_type = ?");
        params.push(type);
      }
      if (before !== undefined) {
        where.push("created_at < ?");
        params.push(before);
      }
      return db.all<JobRow>(
        `SELECT ${columns} FROM happyview_jobs ${where.length > 0 ? `WHERE ${where.join(" AND ")}` : ""}
         ORDER BY created_at DESC LIMIT ?`,
        [...params, limit],
      );
    },
    logs: (id, { after, limit }) =>
      db.all<JobLogRow>(
        "SELECT id, level, message, created_at FROM happyview_job_logs WHERE job_id = ? AND id > ? ORDER BY id LIMIT ?",
        [id, after, limit],
      ),
  };
}
