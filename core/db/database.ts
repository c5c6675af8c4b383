import { resolve } from "node:path";
import { HappyViewError } from "../errors.ts";
import { openPostgres } from "./postgres.ts";
import type { Orm, Schema } from "./schema.ts";
import { openSqlite } from "./sqlite/database.ts";

export type Dialect = "sqlite" | "postgres";
export type SqlValue = string | number | null | Uint8Array | boolean;
export type Row = Record<string, unknown>;

/** A multi-row insert, described once: prepared per row on SQLite, one `unnest` statement on Postgres. */
export interface BulkInsert {
  table: string;
  columns: Record<string, "text" | "int">;
  /** What follows ON CONFLICT, as `(uri) DO UPDATE SET …`. */
  onConflict?: string;
}

/** SQL of both dialects: `?` placeholders, HappyView's table names, nothing that only one of them knows. */
export interface Queries {
  readonly dialect: Dialect;
  all<T = Row>(sql: string, params?: readonly SqlValue[]): Promise<T[]>;
  get<T = Row>(sql: string, params?: readonly SqlValue[]): Promise<T | undefined>;
  /** The number of rows changed. */
  run(sql: string, params?: readonly SqlValue[]): Promise<number>;
  /** `select` runs with `WHERE <column> IN (keys)`; for any number of keys. */
  selectByKeys<T = Row>(select: string, column: string, keys: readonly string[]): Promise<T[]>;
  insertMany(insert: BulkInsert, rows: readonly (readonly SqlValue[])[]): Promise<void>;
  deleteByKeys(table: string, column: string, keys: readonly string[]): Promise<number>;
  /** Typed queries by drizzle, on the tables of `tables(schema)`. */
  readonly orm: Orm;
  tables<S>(schema: Schema<S>): S;
}

/** Its statements run in the order of asking, so those that need no answer of one another are asked at once. */
export interface Transaction extends Queries {
  /**
   * Until this transaction ends, no other one that locks one of the keys goes on, in whatever process. Nothing on
   * SQLite, where transactions exclude each other anyway.
   */
  lock(keys: readonly string[]): Promise<void>;
}

export interface Database extends Queries {
  /** Where it is, without credentials. */
  readonly location: string;
  /** How a worker thread opens a read connection of its own. */
  readonly source: DatabaseSource;
  /** All or nothing, one at a time on SQLite: keep it short and never wait for the network inside. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** True when it is the connection, the disk or a lock: the same statement may succeed later. */
  isTransient(error: unknown): boolean;
  close(): Promise<void>;
}

export type DatabaseSource = { dialect: "sqlite"; file: string } | { dialect: "postgres"; url: string };

export interface DatabaseOptions {
  /** `file:path`, `sqlite://path?mode=rwc`, `:memory:` or `postgres://…`. @default "file:.data/happyview.db" */
  url?: string;
  /** What a relative path of a file is relative to. @default the working directory */
  root?: string;
  /** Connections of the main pool on Postgres. @default 32, or DATABASE_MAX_CONNECTIONS */
  maxConnections?: number;
}

/** Opens the database a URL names; errors say what to do about it. */
export async function connect(options: DatabaseOptions = {}): Promise<Database> {
  const source = resolveDatabaseUrl(options.url ?? "file:.data/happyview.db");
  if (source.dialect === "sqlite")
    return openSqlite(source.file === ":memory:" ? source.file : resolve(options.root ?? ".", source.file));
  return openPostgres(source.url, options.maxConnections ?? 32);
}

/** Understands HappyView's and the usual spellings of a database URL (admin-api §4). */
export function resolveDatabaseUrl(url: string): DatabaseSource {
  if (/^postgres(ql)?:\/\//.test(url)) return { dialect: "postgres", url };
  if (url === ":memory:" || url === "sqlite::memory:") return { dialect: "sqlite", file: ":memory:" };
  const file = /^(?:sqlite:\/\/|sqlite:|file:(?:\/\/)?)([^?]+)/.exec(url)?.[1];
  if (file) return { dialect: "sqlite", file: decodeURIComponent(file) };
  throw new HappyViewError("DATABASE_URL_INVALID", {
    message: `the database URL "${url.replace(/\/\/.*@/s, "//…@").replace(/[?#].*$/s, "")}" is of no known kind`,
    hint: "use file:.data/happyview.db, sqlite://path?mode=rwc or postgres://user:password@host/database in DATABASE_URL or `database.url`",
  });
}
