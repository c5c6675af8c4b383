import type { Database } from "../../core/db/database.ts";
import { collectionCondition, compileFilter, orderBy } from "./compile.ts";
import type { FieldIndex } from "./indexes.ts";
import type { Filter } from "./parse.ts";
import type { FieldPath } from "./path.ts";

/** A list that is filtered or sorted by fields. */
export interface FieldQuery {
  collection: string;
  filter?: Filter | undefined;
  sort?: { by: FieldPath; direction: "ASC" | "DESC" } | undefined;
}

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

/** How the database would find the first page of the list. */
export async function explainQuery(
  db: Database,
  query: FieldQuery,
  known: readonly FieldIndex[],
): Promise<Explanation> {
  const { collection, filter, sort } = query;
  const condition = filter && compileFilter(filter, db.dialect);
  const where = ["collection = ?", collectionCondition(collection), condition?.sql].filter(Boolean);
  const order = sort ? orderBy(sort.by, sort.direction, db.dialect) : "created_at DESC, uri DESC";
  const sql = `SELECT uri, record FROM happyview_records WHERE ${where.join(" AND ")} ORDER BY ${order} LIMIT 20`;
  const params = [collection, ...(condition?.params ?? [])];
  const plan = await planOf(db, sql, params);
  const indexes = known.map((index) => index.name).filter((name) => plan.some((line) => line.includes(name)));
  const fields = fieldsOf(query).map((field) => JSON.stringify(field));
  const hint = `an index may serve it: dbFilters({ indexes: { "${collection}": [${fields.join(", ")}] } }); LIKE and != are never served`;
  const indexed = indexes.length > 0;
  return { sql, params, plan, indexes, indexed, hint: indexed ? null : hint };
}

/** The fields by which it filters and sorts. */
export function fieldsOf({ filter, sort }: Pick<FieldQuery, "filter" | "sort">): string[] {
  const all = [...(filter ? filterFields(filter) : []), ...(sort ? [sort.by.text] : [])];
  return [...new Set(all)];
}

async function planOf(db: Database, sql: string, params: readonly (string | number)[]): Promise<string[]> {
  if (db.dialect === "sqlite") {
    // An EXPLAIN is made with the schema as the connection knows it; only a statement that runs reads it anew.
    await db.get("SELECT 1 AS one FROM happyview_records LIMIT 1");
    const rows = await db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, params);
    return rows.map((row) => row.detail);
  }
  const rows = await db.all<{ "QUERY PLAN": string }>(`EXPLAIN ${sql}`, params);
  return rows.map((row) => row["QUERY PLAN"]);
}

function filterFields(filter: Filter): string[] {
  return filter.kind === "condition" ? [filter.field.text] : filter.children.flatMap(filterFields);
}
