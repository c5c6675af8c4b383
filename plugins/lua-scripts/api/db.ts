import type { Dialect } from "../../../core/db/database.ts";
import { ScriptError, type HostApi, type HostResult, type ScriptValue } from "../engine/engine.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import {
  filterOf,
  limitOf,
  offsetOf,
  optionalText,
  optionsOf,
  requiredText,
  searchFieldOf,
  sortOf,
} from "./db-options.ts";
import { rawCall, type RawRun } from "./db-raw.ts";
import { envelopesJson, envelopesStatement, urisOf, type Envelope } from "./db-envelopes.ts";
import {
  backlinksStatement,
  byUriStatement,
  countStatement,
  queryStatement,
  searchStatement,
  type QueryPage,
  type Statement,
} from "./db-statements.ts";

export interface StoredRecord {
  uri: string;
  /** The JSON text as stored. */
  record: string;
  created_at: string;
}

/** Access of one worker to the database. SQLite answers at once, Postgres with a promise. */
export interface RecordReader {
  backend: Dialect;
  /** `sql` has `?` for each value, and as many forms as scripts ask for. */
  records<Row = StoredRecord>(sql: string, params: readonly (string | number)[]): Row[] | Promise<Row[]>;
  count(sql: string, params: readonly (string | number)[]): bigint | Promise<bigint>;
  /** Runs statements of a script's own on a connection that may write. */
  raw: RawRun;
  close(): void | Promise<void>;
}

/** The `db` table of scripts (lua §4.1, §4.2). */
export function createDb(reader: RecordReader): HostApi {
  const page = (prefix: string, { sql, params }: Statement, write: (rows: StoredRecord[]) => string) =>
    answer(
      prefix,
      () => reader.records(sql, params),
      (rows): HostResult => ({ json: write(rows) }),
    );
  return {
    "db.query": ([options]) => {
      const query = toQuery(options);
      if (query.limit === 0) return { json: listJson([], undefined) };
      return page("DB query failed", queryStatement(query, reader.backend), (rows) => queryJson(rows, query));
    },
    "db.get": ([uri]) =>
      answer(
        "DB query failed",
        () => reader.records(byUriStatement, [requiredText(uri)]),
        ([row]): HostResult => (row ? { json: recordJson(row) } : undefined),
      ),
    "db.search": ([options]) => {
      const { fields } = optionsOf(options);
      const search = {
        collection: requiredText(fields.get("collection")),
        field: searchFieldOf(fields.get("field")),
        query: requiredText(fields.get("query")),
        limit: limitOf(fields.get("limit"), 10),
      };
      return page("DB search failed", searchStatement(search, reader.backend), (rows) =>
        listJson(rows, undefined),
      );
    },
    "db.count": ([collection, did]) => {
      const { sql, params } = countStatement(requiredText(collection), optionalText(did));
      return answer(
        "DB count failed",
        () => reader.count(sql, params),
        (count): HostResult => count,
      );
    },
    "db.backlinks": ([options]) => {
      const { fields } = optionsOf(options);
      const limit = limitOf(fields.get("limit"), 20);
      if (limit === 0) return { json: listJson([], undefined) };
      const statement = backlinksStatement({
        collection: requiredText(fields.get("collection")),
        uri: requiredText(fields.get("uri")),
        did: optionalText(fields.get("did")),
        limit,
        after: decodeCursor(optionalText(fields.get("cursor")) ?? ""),
      });
      return page("DB backlinks failed", statement, (rows) => listJson(rows, keysetCursor(rows, limit)));
    },
    "db.raw": ([sql, params], run) => rawCall(requiredText(sql), params, reader, run.raw),
    "db.backend": () => reader.backend,
    "kit.envelopes": ([given]) => {
      const uris = urisOf(given);
      if (uris.length === 0) return { json: "[]" };
      const { sql, params } = envelopesStatement(uris);
      return answer(
        "DB query failed",
        () => reader.records<Envelope>(sql, params),
        (rows): HostResult => ({ json: envelopesJson(rows, uris) }),
      );
    },
  };
}

/** The stored body with the key `uri`, which wins over a field of that name in the body. */
export function recordJson(row: StoredRecord): string {
  const uri = `"uri":${JSON.stringify(row.uri)}`;
  const end = row.record.lastIndexOf("}");
  const isEmpty = end <= 0 || /^\s*\{\s*$/.test(row.record.slice(0, end));
  // Of two equal keys the decoder keeps the later one.
  return isEmpty ? `{${uri}}` : `${row.record.slice(0, end)},${uri}}`;
}

function toQuery(options: ScriptValue): QueryPage {
  const { fields } = optionsOf(options);
  const collection = requiredText(fields.get("collection"));
  const sort = sortOf(fields);
  const cursor = optionalText(fields.get("cursor")) ?? "";
  return {
    collection,
    did: optionalText(fields.get("did")),
    limit: limitOf(fields.get("limit"), 20),
    filter: filterOf(fields.get("filter")),
    start: sort
      ? { sort, offset: decodeOffset(cursor) ?? offsetOf(fields.get("offset")) }
      : { after: decodeCursor(cursor) },
  };
}

function queryJson(rows: readonly StoredRecord[], { start, limit }: QueryPage): string {
  if ("after" in start) return listJson(rows, keysetCursor(rows, limit));
  const next = Buffer.from(String(start.offset + rows.length)).toString("base64");
  return listJson(rows, rows.length === limit ? next : undefined);
}

/** A full page has a cursor, also when it is the last one. */
function keysetCursor(rows: readonly StoredRecord[], limit: number): string | undefined {
  const last = rows.at(-1);
  return last && rows.length === limit ? encodeCursor(last.created_at, last.uri) : undefined;
}

function decodeOffset(cursor: string): number | undefined {
  const text = Buffer.from(cursor, "base64").toString("latin1");
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function listJson(rows: readonly StoredRecord[], cursor: string | undefined): string {
  const end = cursor === undefined ? "" : `,"cursor":"${cursor}"`;
  return `{"records":[${rows.map(recordJson).join(",")}]${end}}`;
}

function answer<T>(
  prefix: string,
  read: () => T | Promise<T>,
  write: (rows: T) => HostResult,
): HostResult | Promise<HostResult> {
  let rows: T | Promise<T>;
  try {
    rows = read();
  } catch (error) {
    throw failed(prefix, error);
  }
  if (!(rows instanceof Promise)) return write(rows);
  return rows.then(write, (error: unknown) => {
    throw failed(prefix, error);
  });
}

function failed(prefix: string, cause: unknown): ScriptError {
  if (cause instanceof ScriptError) return cause;
  return new ScriptError(`${prefix}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
