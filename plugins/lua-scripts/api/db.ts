import {
  ScriptError,
  type HostApi,
  type HostResult,
  type ScriptTable,
  type ScriptValue,
} from "../engine/engine.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";

const defaultLimit = 20n;
const maxLimit = 100;

export interface StoredRecord {
  uri: string;
  /** The JSON text as stored. */
  record: string;
  created_at: string;
}

export interface Page {
  collection: string;
  did: string | undefined;
  limit: number;
  /** The last row of the page before. */
  after: { createdAt: string; uri: string } | undefined;
}

/** Read access of one worker to the records. SQLite answers at once, Postgres with a promise. */
export interface RecordReader {
  backend: "sqlite" | "postgres";
  page(page: Page): StoredRecord[] | Promise<StoredRecord[]>;
  byUri(uri: string): StoredRecord | undefined | Promise<StoredRecord | undefined>;
  close(): void | Promise<void>;
}

/** The `db` table of scripts. */
export function createDb(reader: RecordReader): HostApi {
  return {
    "db.query": ([options]) => {
      const page = toPage(options);
      if (page.limit === 0) return { json: `{"records":[]}` };
      return answer(
        () => reader.page(page),
        (rows) => ({ json: pageJson(rows, page.limit) }),
      );
    },
    "db.get": ([uri]) => {
      if (typeof uri !== "string") throw new ScriptError("bad argument #1 to 'get' (string expected)");
      return answer(
        () => reader.byUri(uri),
        (row) => (row ? { json: recordJson(row) } : undefined),
      );
    },
    "db.backend": () => reader.backend,
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

function pageJson(rows: readonly StoredRecord[], limit: number): string {
  const last = rows.at(-1);
  const cursor =
    last && rows.length === limit ? `,"cursor":"${encodeCursor(last.created_at, last.uri)}"` : "";
  return `{"records":[${rows.map(recordJson).join(",")}]${cursor}}`;
}

function toPage(options: ScriptValue): Page {
  const { fields } = toTable(options);
  const collection = fields.get("collection");
  if (typeof collection !== "string")
    throw new ScriptError("bad argument #1 to 'query' (a table with the string `collection` is expected)");
  // To leave them out would answer with other rows than were asked for.
  if (typeof fields.get("filter") === "object" && fields.get("filter") !== null)
    throw new ScriptError("db.query: `filter` is not available here");
  if (typeof fields.get("sort") === "string") throw new ScriptError("db.query: `sort` is not available here");
  const did = fields.get("did");
  const cursor = fields.get("cursor");
  return {
    collection,
    did: typeof did === "string" ? did : undefined,
    limit: toLimit(fields.get("limit")),
    after: typeof cursor === "string" ? decodeCursor(cursor) : undefined,
  };
}

function toTable(value: ScriptValue): ScriptTable {
  return typeof value === "object" && value !== null ? value : { fields: new Map(), items: [] };
}

/** A numeric string and an integral float count as integers, anything else as absent (spec 2.7). */
function toLimit(value: ScriptValue): number {
  let limit = defaultLimit;
  if (typeof value === "bigint") limit = value;
  else if (typeof value === "number" && Number.isInteger(value)) limit = BigInt(value);
  else if (typeof value === "string" && /^\s*[+-]?\d{1,18}\s*$/.test(value))
    limit = BigInt(value.trim().replace("+", ""));
  // A negative limit meant "all rows" on SQLite and an error on Postgres; here a page is never unlimited.
  if (limit < 0n) return 1;
  return limit > maxLimit ? maxLimit : Number(limit);
}

function answer<T>(
  read: () => T | Promise<T>,
  write: (rows: T) => HostResult,
): HostResult | Promise<HostResult> {
  let rows: T | Promise<T>;
  try {
    rows = read();
  } catch (error) {
    throw queryFailed(error);
  }
  if (!(rows instanceof Promise)) return write(rows);
  return rows.then(write, (error: unknown) => {
    throw queryFailed(error);
  });
}

function queryFailed(cause: unknown): ScriptError {
  return new ScriptError(`DB query failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}
