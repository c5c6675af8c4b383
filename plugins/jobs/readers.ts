import type { Archive } from "./archive.ts";
import { jobStatuses, type JobRow } from "./job.ts";

/** What other plugins may read of the jobs. */
export interface JobReaders {
  /**
   * A job as JSON text, without what is not set and what belongs to its session (lua §5.3). With `createdBy`, a job of
   * anybody else is not there.
   */
  get(id: string, only?: { createdBy: string }): Promise<string | undefined>;
  /**
   * The newest first, as a JSON array of at most 200. @throws RangeError when they hold too much to be read at once
   */
  list(filter: {
    statuses?: readonly string[] | undefined;
    type?: string | undefined;
    limit: number;
  }): Promise<string>;
}

const maxJobs = 200;
const maxBytes = 16 * 1024 * 1024;

export function createReaders(archive: Pick<Archive, "get" | "list" | "bytes">): JobReaders {
  return {
    async get(id, only) {
      const row = await archive.get(id);
      return row && (!only || row.created_by === only.createdBy) ? toView(row) : undefined;
    },
    async list({ statuses = [], type, limit }) {
      const known = jobStatuses.filter((status) => statuses.includes(status));
      if (statuses.length > 0 && known.length === 0) return "[]";
      const filter = { statuses: known, type, limit: Math.min(limit, maxJobs) };
      const bytes = await archive.bytes(filter);
      if (bytes > maxBytes)
        throw new RangeError(`the jobs hold ${bytes} bytes, more than ${maxBytes}: ask for fewer at a time`);
      return `[${(await archive.list(filter)).map(toView).join(",")}]`;
    },
  };
}

/** The stored JSON goes out as it is: a number that JavaScript would round stays exact. */
function toView(row: JobRow): string {
  const { id, job_type, status, error, created_by, created_at, started_at, completed_at } = row;
  const texts = { id, job_type, status, error, created_by, created_at, started_at, completed_at };
  const set = Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== null));
  const json = (["input", "progress", "result"] as const)
    .filter((name) => row[name] !== null && row[name] !== "null")
    .map((name) => `,"${name}":${row[name]}`);
  return `${JSON.stringify(set).slice(0, -1)}${json.join("")}}`;
}
