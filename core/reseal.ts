import type { Database, SqlValue } from "./db/database.ts";
import { explain } from "./errors.ts";
import type { PluginApp } from "./plugin-app.ts";
import type { SecretBox } from "./secret-box.ts";

/** Where sealed values are kept: bytes or text, NULL for none. */
export interface SealedColumn {
  table: string;
  column: string;
  /** The primary key. */
  key: string;
  /** Whether that is a number above 0; text otherwise. */
  isNumbered?: boolean;
}

const batch = 100;

interface Row {
  key: SqlValue;
  value: Uint8Array | string;
}

/**
 * At the start, seals anew what only the previous key opens, since after the next rotation nothing would: a device may
 * stay signed in for years without a refresh. One-off commands leave it alone.
 */
export function resealAtStart(
  { db, hook, onClose, log }: Pick<PluginApp, "db" | "hook" | "onClose" | "log">,
  box: SecretBox,
  columns: readonly SealedColumn[],
): void {
  hook("app:ready", () => {
    const closing = new AbortController();
    const resealing = reseal(db, box, columns, closing.signal).then(
      (count) => {
        if (count > 0) log.info("what was encrypted is sealed anew with TOKEN_ENCRYPTION_KEY", { count });
      },
      (error: unknown) =>
        log.error("what is encrypted could not all be sealed anew; the next start goes on", {
          error: explain(error),
          hint: "keep TOKEN_ENCRYPTION_KEY_PREVIOUS until then",
        }),
    );
    onClose(async () => {
      closing.abort();
      await resealing;
    });
  });
}

/** Returns how many values those were. */
async function reseal(
  db: Database,
  box: SecretBox,
  columns: readonly SealedColumn[],
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  if (!box.isRotating) return count;
  for (const { table, column, key, isNumbered = false } of columns) {
    const page = `SELECT ${key} AS "key", ${column} AS value FROM ${table}
      WHERE ${key} > ? AND ${column} IS NOT NULL ORDER BY ${key} LIMIT ${batch}`;
    for (let after: SqlValue = isNumbered ? 0 : ""; !signal.aborted;) {
      const rows: Row[] = await db.all<Row>(page, [after]);
      const changes = rows.flatMap((row) => {
        const next = typeof row.value === "string" ? box.reseal(row.value) : box.resealBytes(row.value);
        return next === undefined ? [] : [{ ...row, next }];
      });
      // What was replaced since the look is left as it is.
      const update = `UPDATE ${table} SET ${column} = ? WHERE ${key} = ? AND ${column} = ?`;
      if (changes.length > 0)
        await db.transaction(async (tx) => {
          for (const change of changes)
            count += await tx.run(update, [change.next, change.key, change.value]);
        });
      const last = rows.at(-1);
      if (!last || rows.length < batch) break;
      after = last.key;
    }
  }
  return count;
}
