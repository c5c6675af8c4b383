import { createHash } from "node:crypto";
import { HappyViewError } from "../../core/index.ts";
import type { Database, Dialect, Queries } from "../../core/db/database.ts";
import { collectionCondition } from "./compile.ts";
import { fieldForms } from "./fields.ts";
import { parsePath, pathRule, type FieldPath } from "./path.ts";

/** An index that serves filters on one field of one collection. */
export interface FieldIndex {
  name: string;
  collection: string;
  field: FieldPath;
  sql: string;
}

const prefix = "happyview_by_field_";

/**
 * The indexes that make the fields quick: one by text and one by number, the latter also for sorting. Lists by
 * arrival (over XRPC) and by creation (in scripts) each get an index by text, which holds the rows in their order.
 */
export function planIndexes(
  fields: Readonly<Record<string, readonly string[]>>,
  { dialect, byArrival }: { dialect: Dialect; byArrival: boolean },
): FieldIndex[] {
  return Object.entries(fields).flatMap(([collection, paths]) => {
    const condition = collectionCondition(collection);
    if (!condition) throw invalid(`"${collection}" is no NSID`, "name the collection as its lexicon does");
    return [...new Set(paths)].flatMap((text) => {
      const field = parsePath(text);
      if (!field) throw invalid(`"${text}" of ${collection} is no field path`, pathRule);
      return columnLists(field, dialect, byArrival).map((columns) => {
        const name = indexName(collection, text, columns);
        const sql = `CREATE INDEX IF NOT EXISTS ${name} ON happyview_records (${columns}) WHERE ${condition}`;
        return { name, collection, field, sql };
      });
    });
  });
}

/** Makes the indexes that are missing and drops those that nobody asks for any more. */
export async function applyIndexes(
  db: Database,
  wanted: readonly FieldIndex[],
): Promise<{ created: string[]; dropped: string[] }> {
  return db.transaction(async (tx) => {
    // Two processes that start together would both create.
    if (tx.dialect === "postgres") await tx.get("SELECT pg_advisory_xact_lock(7236837112043)::text");
    const existing = await existingIndexes(tx);
    const dropped = existing.filter((name) => !wanted.some((index) => index.name === name));
    const created = wanted.filter((index) => !existing.includes(index.name));
    for (const name of dropped) await tx.run(`DROP INDEX ${name}`);
    for (const index of created) await tx.run(index.sql);
    return { created: created.map((index) => index.name), dropped };
  });
}

async function existingIndexes(tx: Queries): Promise<string[]> {
  const sql =
    tx.dialect === "sqlite"
      ? "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'happyview_records'"
      : "SELECT indexname AS name FROM pg_indexes WHERE tablename = 'happyview_records' AND schemaname = current_schema()";
  const rows = await tx.all<{ name: string }>(sql);
  return rows.map((row) => row.name).filter((name) => name.startsWith(prefix));
}

function columnLists(field: FieldPath, dialect: Dialect, byArrival: boolean): string[] {
  const { key, text, number } = fieldForms(field, dialect);
  if (dialect === "postgres") {
    // A long URI beside a long text would not fit; of rows equal in all this, few are left to sort.
    const arrival = byArrival ? [`${key}, coalesce(indexed_at, '') DESC`] : [];
    return [`${key}, created_at DESC`, ...arrival, `${number} NULLS FIRST, ${key} NULLS FIRST`];
  }
  // The collection as a column makes this index look better to SQLite, which has no statistics, than those of core.
  const arrival = byArrival ? [`collection, (${text}), coalesce(indexed_at, '') DESC, uri DESC`] : [];
  return [
    `collection, (${text}), created_at DESC, uri DESC`,
    ...arrival,
    `collection, (${number}), (${text}), uri`,
  ];
}

/** Readable, and another one as soon as anything about the index is another: then the old one is dropped. */
function indexName(collection: string, field: string, columns: string): string {
  const slug = field
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .slice(0, 20);
  const hash = createHash("sha256").update(`${collection}\n${field}\n${columns}`).digest("hex");
  return `${prefix}${slug}_${hash.slice(0, 12)}`;
}

function invalid(message: string, hint: string): HappyViewError {
  return new HappyViewError("CONFIG_INVALID", { message: `[db-filters] indexes: ${message}`, hint });
}
