import type { Database } from "../../core/db/database.ts";
import { collectionCondition, compileFilter } from "./compile.ts";
import type { FieldIndex } from "./indexes.ts";
import type { Filter } from "./parse.ts";

export interface Explanation {
  sql: string;
  params: readonly (string | number)[];
  /** What the database says it does, line by line. */
  plan: string[];
  /** The indexes of `indexes` in the config that it uses. */
  indexes: string[];
  /** False when every record of the collection may have to be read. */
  indexed: boolean;
  hint: string | null;
}

/** How the database would find the first page of a filtered list. */
export async function explainFilter(
  db: Database,
  collection: string,
  filter: Filter,
  known: readonly FieldIndex[],
): Promise<Explanation> {
  const condition = compileFilter(filter, db.dialect);
  const own = collectionCondition(collection);
  const sql = `SELECT uri, record FROM happyview_records WHERE collection = ?${own ? ` AND ${own}` : ""} AND ${condition.sql} ORDER BY created_at DESC, uri DESC LIMIT 20`;
  const params = [collection, ...condition.params];
  const plan = await planOf(db, sql, params);
  const indexes = known.map((index) => index.name).filter((name) => plan.some((line) => line.includes(name)));
  const fields = [...fieldsOf(filter)].map((field) => JSON.stringify(field)).join(", ");
  const hint = `an index may serve it: dbFilters({ indexes: { "${collection}": [${fields}] } }); LIKE and != are never served`;
  const indexed = indexes.length > 0;
  return { sql, params, plan, indexes, indexed, hint: indexed ? null : hint };
}

async function planOf(db: Database, sql: string, params: readonly (string | number)[]): Promise<string[]> {
  if (db.dialect === "sqlite") {
    const rows = await db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, params);
    return rows.map((row) => row.detail);
  }
  const rows = await db.all<{ "QUERY PLAN": string }>(`EXPLAIN ${sql}`, params);
  return rows.map((row) => row["QUERY PLAN"]);
}

function fieldsOf(filter: Filter): Set<string> {
  if (filter.kind === "condition") return new Set([filter.field.text]);
  return new Set(filter.children.flatMap((child) => [...fieldsOf(child)]));
}
