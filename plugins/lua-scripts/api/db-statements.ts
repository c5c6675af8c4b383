import type { Dialect } from "../../../core/db/database.ts";
import {
  collectionCondition,
  compileFilter,
  likeAnyCase,
  likePattern,
  orderBy,
} from "../../db-filters/compile.ts";
import { fieldForms } from "../../db-filters/fields.ts";
import type { Filter } from "../../db-filters/parse.ts";
import type { FieldPath } from "../../db-filters/path.ts";
import type { Sort } from "./db-options.ts";

/** `?` stands for each value, on both dialects. */
export interface Statement {
  sql: string;
  params: (string | number)[];
}

export interface PageStart {
  createdAt: string;
  uri: string;
}

export interface QueryPage {
  collection: string;
  did: string | undefined;
  limit: number;
  filter: Filter | undefined;
  /** A sorted list is paged by offset, any other by the last row of the page before. */
  start: { sort: Sort; offset: number } | { after: PageStart | undefined };
}

export interface BacklinksPage {
  collection: string;
  uri: string;
  did: string | undefined;
  limit: number;
  after: PageStart | undefined;
}

const columns = "uri, record, created_at";

export function queryStatement(page: QueryPage, dialect: Dialect): Statement {
  const { collection, did, filter, start, limit } = page;
  const conditions = ["collection = ?"];
  const params: Statement["params"] = [collection];
  const isOfFields = filter !== undefined || ("sort" in start && typeof start.sort.by === "object");
  const own = isOfFields ? collectionCondition(collection) : undefined;
  if (own) conditions.push(own);
  if (did !== undefined) {
    conditions.push("did = ?");
    params.push(did);
  }
  // The row comparison lets both databases seek in the index.
  if ("after" in start && start.after) {
    conditions.push("(created_at, uri) < (?, ?)");
    params.push(start.after.createdAt, start.after.uri);
  }
  if (filter) {
    const condition = compileFilter(filter, dialect);
    conditions.push(condition.sql);
    params.push(...condition.params);
  }
  const order = "sort" in start ? sortOrder(start.sort, dialect) : "created_at DESC, uri DESC";
  const head = `SELECT ${columns} FROM happyview_records WHERE ${conditions.join(" AND ")} ORDER BY ${order} LIMIT ?`;
  return "sort" in start
    ? { sql: `${head} OFFSET ?`, params: [...params, limit, start.offset] }
    : { sql: head, params: [...params, limit] };
}

export const byUriStatement: string = `SELECT ${columns} FROM happyview_records WHERE uri = ?`;

/** Contains, whatever the case: the exact value first, then those that begin with it, then the others. */
export function searchStatement(
  search: { collection: string; field: FieldPath; query: string; limit: number },
  dialect: Dialect,
): Statement {
  const { text } = fieldForms(search.field, dialect);
  const like = likeAnyCase(text, dialect);
  const rank = `CASE WHEN lower(${text}) = lower(?) THEN 0 WHEN ${like} THEN 1 ELSE 2 END`;
  const pattern = (value: string): string => likePattern(value, dialect);
  const query = dialect === "postgres" ? search.query.replaceAll("\0", "\uFFFD") : search.query;
  return {
    sql: `SELECT ${columns} FROM happyview_records WHERE collection = ? AND ${like} ORDER BY ${rank}, ${text}, uri LIMIT ?`,
    params: [search.collection, pattern(`%${query}%`), query, pattern(`${query}%`), search.limit],
  };
}

export function countStatement(collection: string, did: string | undefined): Statement {
  const count = "SELECT count(*) AS n FROM happyview_records WHERE collection = ?";
  return did === undefined
    ? { sql: count, params: [collection] }
    : { sql: `${count} AND did = ?`, params: [collection, did] };
}

/** From the target to its sources: SQLite keeps the order of a CROSS JOIN, else it might read the whole collection. */
export function backlinksStatement({ collection, uri, did, limit, after }: BacklinksPage): Statement {
  const conditions = ["f.target_uri = ?", "f.collection = ?", "r.uri = f.source_uri"];
  const params: Statement["params"] = [uri, collection];
  if (did !== undefined) {
    conditions.push("r.did = ?");
    params.push(did);
  }
  if (after) {
    conditions.push("(r.created_at, r.uri) < (?, ?)");
    params.push(after.createdAt, after.uri);
  }
  return {
    sql: `SELECT r.uri, r.record, r.created_at FROM happyview_record_refs f CROSS JOIN happyview_records r WHERE ${conditions.join(" AND ")} ORDER BY r.created_at DESC, r.uri DESC LIMIT ?`,
    params: [...params, limit],
  };
}

function sortOrder({ by, direction }: Sort, dialect: Dialect): string {
  if (typeof by === "object") return orderBy(by, direction, dialect);
  if (by === "uri") return `uri ${direction}`;
  // Rows that a script wrote may have no time of arrival; the index holds it in this form.
  const column = by === "indexed_at" ? "coalesce(indexed_at, '')" : by;
  return `${column} ${direction}, uri ${direction}`;
}
