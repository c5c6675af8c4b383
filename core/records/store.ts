import type { Database, SqlValue } from "../db/database.ts";

export interface RecordRow {
  uri: string;
  did: string;
  collection: string;
  rkey: string;
  cid: string;
  indexed_at: string | null;
  /** JSON text as stored. */
  record: string;
}

/** Where a page begins: after the row with this key, or (old clients) after so many rows. */
export type PageStart = { indexedAt: string; uri: string } | { offset: number };

export interface PageRequest {
  collection: string;
  did?: string | undefined;
  limit: number;
  start?: PageStart | undefined;
  /** Which of the rows are asked for. */
  where?: readonly ListCondition[];
}

/** A condition on the columns of `happyview_records`, with `?` for each value. */
export interface ListCondition {
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

/** The last row of a page and whether more follow; the rows are ordered newest first, and no two are equal in order. */
export interface Page<R> {
  rows: R[];
  next: { indexedAt: string; uri: string } | undefined;
}

export interface RecordStore {
  get(uri: string): Promise<{ record: string } | undefined>;
  list(page: PageRequest): Promise<Page<RecordRow>>;
  /** False when there is no such record. Local only: a later event brings it back. */
  remove(uri: string): Promise<boolean>;
  removeCollection(collection: string): Promise<number>;
  total(): Promise<number>;
  countByCollection(): Promise<Map<string, number>>;
}

const columns = "uri, did, collection, rkey, cid, indexed_at, record";
const order = "coalesce(indexed_at, '') DESC, uri DESC";

/** The statements of hot reads; the test of their query plans reads them from here. */
export const recordStatements = {
  get: "SELECT record FROM happyview_records WHERE uri = ?",
  first: `SELECT ${columns} FROM happyview_records WHERE collection = ? ORDER BY ${order} LIMIT ?`,
  next: `SELECT ${columns} FROM happyview_records WHERE collection = ? AND (coalesce(indexed_at, ''), uri) < (?, ?) ORDER BY ${order} LIMIT ?`,
  firstOfRepo: `SELECT ${columns} FROM happyview_records WHERE did = ? AND collection = ? ORDER BY ${order} LIMIT ?`,
  nextOfRepo: `SELECT ${columns} FROM happyview_records WHERE did = ? AND collection = ? AND (coalesce(indexed_at, ''), uri) < (?, ?) ORDER BY ${order} LIMIT ?`,
} as const;

export function createRecordStore(db: Database): RecordStore {
  return {
    get: (uri) => db.get<{ record: string }>(recordStatements.get, [uri]),
    async list({ collection, did, limit, start, where }) {
      const { sql, params } = pageQuery(collection, did, start, where);
      // One row more than asked for tells whether there is another page.
      const rows = await db.all<RecordRow>(sql, [
        ...params,
        limit + 1,
        ...(start && "offset" in start ? [start.offset] : []),
      ]);
      const more = rows.length > limit;
      if (more) rows.pop();
      const last = rows.at(-1);
      return { rows, next: more && last ? { indexedAt: last.indexed_at ?? "", uri: last.uri } : undefined };
    },
    remove: async (uri) => (await db.run("DELETE FROM happyview_records WHERE uri = ?", [uri])) > 0,
    removeCollection: (collection) =>
      db.run("DELETE FROM happyview_records WHERE collection = ?", [collection]),
    async total() {
      return (await db.get<{ n: number }>("SELECT count(*) AS n FROM happyview_records"))?.n ?? 0;
    },
    async countByCollection() {
      const rows = await db.all<{ collection: string; n: number }>(
        "SELECT collection, count(*) AS n FROM happyview_records GROUP BY collection",
      );
      return new Map(rows.map((row) => [row.collection, row.n]));
    },
  };
}

function pageQuery(
  collection: string,
  did: string | undefined,
  start: PageStart | undefined,
  where: readonly ListCondition[] = [],
): { sql: string; params: SqlValue[] } {
  const page = startOfPage(collection, did, start);
  // The values of a condition come before those of the page, since it is the first in the text.
  return {
    sql: where.reduceRight(
      (sql, { sql: condition }) => sql.replace(" WHERE ", () => ` WHERE ${condition} AND `),
      page.sql,
    ),
    params: [...where.flatMap(({ params }) => params), ...page.params],
  };
}

function startOfPage(
  collection: string,
  did: string | undefined,
  start: PageStart | undefined,
): { sql: string; params: SqlValue[] } {
  const scope = did === undefined ? [collection] : [did, collection];
  const first = did === undefined ? recordStatements.first : recordStatements.firstOfRepo;
  if (!start) return { sql: first, params: scope };
  if ("offset" in start) return { sql: `${first} OFFSET ?`, params: scope };
  const next = did === undefined ? recordStatements.next : recordStatements.nextOfRepo;
  return { sql: next, params: [...scope, start.indexedAt, start.uri] };
}

/** The stored body with its `uri`, as clients see a record (sync-and-xrpc §4.5), made without parsing the JSON. */
export function recordWithUri(record: string, uri: string): string {
  const quoted = JSON.stringify(uri);
  if (record.includes('"uri"') || !record.startsWith("{"))
    return JSON.stringify({ ...(JSON.parse(record) as object), uri });
  return record === "{}" ? `{"uri":${quoted}}` : `${record.slice(0, -1)},"uri":${quoted}}`;
}
