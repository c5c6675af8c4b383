import type { Database } from "../../core/db/database.ts";
import { isExpired } from "./datetime.ts";

interface ExpiringRow {
  day: string;
  src: string;
  uri: string;
  val: string;
  cts: string;
  exp: string;
}

const pageSize = 500;
const dayMs = 24 * 60 * 60 * 1000;

/** No zone is further away, so what expires later than this day in any zone has not expired. */
const marginDays = 2;

/**
 * Takes away the labels that have expired; returns how many. Scripts and other versions may have written expiries of
 * any form: the day only narrows the search, and what cannot be read stays.
 */
export async function sweepExpired(db: Database, nowMs: number, signal?: AbortSignal): Promise<number> {
  const lastDay = new Date(nowMs + marginDays * dayMs).toISOString().slice(0, 10);
  let after: readonly string[] = ["", "", "", ""];
  let swept = 0;
  while (!signal?.aborted) {
    const rows = await db.all<ExpiringRow>(
      `SELECT substr(exp, 1, 10) AS day, src, uri, val, cts, exp FROM happyview_labels
       WHERE exp IS NOT NULL AND substr(exp, 1, 10) <= ? AND (substr(exp, 1, 10), src, uri, val) > (?, ?, ?, ?)
       ORDER BY substr(exp, 1, 10), src, uri, val LIMIT ?`,
      [lastDay, ...after, pageSize],
    );
    const last = rows.at(-1);
    if (!last) break;
    after = [last.day, last.src, last.uri, last.val];
    swept += await end(
      db,
      rows.filter(({ exp }) => isExpired(exp, nowMs)),
    );
  }
  return swept;
}

/** They are remembered as ended, or an older version without an expiry could come back. */
function end(db: Database, rows: readonly ExpiringRow[]): Promise<number> {
  return db.transaction(async (tx) => {
    let removed = 0;
    for (const { src, uri, val, cts, exp } of rows) {
      const gone = await tx.run(
        "DELETE FROM happyview_labels WHERE src = ? AND uri = ? AND val = ? AND exp = ?",
        [src, uri, val, exp],
      );
      if (gone === 0) continue; // a newer version came meanwhile
      removed += gone;
      await tx.run(
        `INSERT INTO happyview_ended_labels (src, uri, val, cts) VALUES (?, ?, ?, ?)
         ON CONFLICT (src, uri, val) DO UPDATE SET cts = excluded.cts`,
        [src, uri, val, cts],
      );
    }
    return removed;
  });
}
