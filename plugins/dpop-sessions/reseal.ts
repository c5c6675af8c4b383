import type { Database } from "../../core/db/database.ts";
import type { SecretBox } from "../../core/secret-box.ts";

const sealed = [
  { table: "happyview_dpop_keys", column: "private_key_enc" },
  { table: "happyview_dpop_sessions", column: "access_token_enc" },
  { table: "happyview_dpop_sessions", column: "refresh_token_enc" },
] as const;
const batch = 100;

interface Row {
  id: string;
  value: Uint8Array;
}

/**
 * Seals anew what only the previous key opens, since after the next rotation nothing would: a device may stay signed in
 * for years without a refresh. Returns how many values those were.
 */
export async function reseal(db: Database, box: SecretBox, signal: AbortSignal): Promise<number> {
  let count = 0;
  if (!box.isRotating) return count;
  for (const { table, column } of sealed) {
    const page = `SELECT id, ${column} AS value FROM ${table}
      WHERE id > ? AND ${column} IS NOT NULL ORDER BY id LIMIT ${batch}`;
    for (let after = ""; !signal.aborted;) {
      const rows = await db.all<Row>(page, [after]);
      const changes = rows.flatMap(({ id, value }) => {
        const next = box.resealBytes(value);
        return next ? [{ id, value, next }] : [];
      });
      // What a refresh has replaced since the look is left as it is.
      const update = `UPDATE ${table} SET ${column} = ? WHERE id = ? AND ${column} = ?`;
      if (changes.length > 0)
        await db.transaction(async (tx) => {
          for (const { id, value, next } of changes) count += await tx.run(update, [next, id, value]);
        });
      const last = rows.at(-1);
      if (!last || rows.length < batch) break;
      after = last.id;
    }
  }
  return count;
}
