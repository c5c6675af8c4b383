import type { Database, SqlValue } from "../../core/db/database.ts";
import { jobColumns as columns, type JobLogRow, type JobRow } from "./job.ts";

export interface JobFilter {
  /** One of these; none of them given means every status. */
  statuses?: readonly string[] | undefined;
  type?: string | undefined;
  /** Created before this time. */
  before?: string | undefined;
  limit: number;
}

/** What admins and scripts see of the jobs. */
export interface Archive {
  get(id: string): Promise<JobRow | undefined>;
  /** Newest first. */
  list(filter: JobFilter): Promise<JobRow[]>;
  /** What the jobs of such a list hold. */
  bytes(filter: JobFilter): Promise<number>;
  /** Oldest first; `after` is the id of the last line seen. */
  logs(id: string, page: { after: number; limit: number }): Promise<JobLogRow[]>;
}

const size = ["input", "progress", "result", "error"]
  .map((column) => `coalesce(octet_length(${column}), 0)`)
  .join(" + ");

export function createArchive(db: Pick<Database, "all" | "get">): Archive {
  return {
    get: (id) => db.get<JobRow>(`SELECT ${columns} FROM happyview_jobs WHERE id = ?`, [id]),
    list(filter) {
      const { sql, params } = page(filter, columns);
      return db.all<JobRow>(sql, params);
    },
    async bytes(filter) {
      const { sql, params } = page(filter, `${size} AS size`);
      const row = await db.get<{ bytes: number | string | null }>(
        `SELECT sum(size) AS bytes FROM (${sql}) AS page`,
        params,
      );
      return Number(row?.bytes ?? 0);
    },
    logs: (id, { after, limit }) =>
      db.all<JobLogRow>(
        "SELECT id, level, message, created_at FROM happyview_job_logs WHERE job_id = ? AND id > ? ORDER BY id LIMIT ?",
        [id, after, limit],
      ),
  };
}

function page(
  { statuses = [], type, before, limit }: JobFilter,
  select: string,
): { sql: string; params: SqlValue[] } {
  const where: string[] = [];
  const params: SqlValue[] = [];
  if (statuses.length > 0) {
    where.push(`status IN (${statuses.map(() => "?").join(", ")})`);
    params.push(...statuses);
  }
  if (type !== undefined) {
    where.push("job_type = ?");
    params.push(type);
  }
  if (before !== undefined) {
    where.push("created_at < ?");
    params.push(before);
  }
  const condition = where.length > 0 ? `WHERE ${where.join(" AND ")}` : "";
  return {
    sql: `SELECT ${select} FROM happyview_jobs ${condition} ORDER BY created_at DESC LIMIT ?`,
    params: [...params, limit],
  };
}
