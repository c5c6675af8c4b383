import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import SqliteConnection from "better-sqlite3";
import { drizzle } from "drizzle-orm/sqlite-proxy";
import { HappyViewError } from "../errors.ts";
import type { BulkInsert, Database, Queries, SqlValue, Transaction } from "./database.ts";
import { createTableCache, type Orm, type Schema } from "./schema.ts";

type Connection = SqliteConnection.Database;
type Statement = SqliteConnection.Statement<unknown[], unknown>;

// A wait inside SQLite stops the whole thread: a short one there, the rest of it between attempts.
const busyTimeoutMs = 50;
const busyAttempts = 60;

/**
 * One writing connection and one reading connection. A transaction owns the writer: everything else that
 * writes waits until it ends, or it would land inside and be rolled back with it. Readers never wait (WAL).
 */
export async function openSqlite(path: string): Promise<Database> {
  const temporary = path === ":memory:" ? mkdtempSync(join(tmpdir(), "happyview-")) : undefined;
  const file = temporary ? join(temporary, "memory.db") : resolve(path);
  const writer = openWriter(file);
  const reader = open(file, { readonly: true });
  reader.pragma("cache_size = -65536");
  const tables = createTableCache("sqlite");
  const write: Transaction = { ...createQueries(writer, tables), lock: async () => {} };
  const read = createQueries(reader, tables);
  let lock: Promise<void> | undefined;

  const whenFree = async <T>(work: () => Promise<T>): Promise<T> => {
    while (lock) await lock;
    return unlessBusy(work);
  };

  return {
    dialect: "sqlite",
    location: file,
    source: { dialect: "sqlite", file },
    tables,
    all: read.all,
    get: read.get,
    selectByKeys: read.selectByKeys,
    run: (sql, params) => whenFree(() => write.run(sql, params)),
    insertMany: (insert, rows) => whenFree(() => write.insertMany(insert, rows)),
    deleteByKeys: (table, column, keys) => whenFree(() => write.deleteByKeys(table, column, keys)),
    orm: createOrm(writer, (work) => whenFree(async () => work())),
    async transaction(work) {
      while (lock) await lock;
      let release = (): void => {};
      lock = new Promise((done) => (release = done));
      try {
        await unlessBusy(async () => writer.exec("BEGIN IMMEDIATE"));
        try {
          const result = await work(write);
          writer.exec("COMMIT");
          return result;
        } catch (error) {
          if (writer.inTransaction) writer.exec("ROLLBACK");
          throw error;
        }
      } finally {
        lock = undefined;
        release();
      }
    },
    isTransient: (error) =>
      /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|PROTOCOL|NOMEM)|^E[A-Z]+$/.test(codeOf(error)),
    async close() {
      while (lock) await lock;
      // Statistics of what has grown a lot: without them the planner does not see what an index is worth.
      if (writer.open) writer.exec("PRAGMA analysis_limit = 400; PRAGMA optimize");
      reader.close();
      writer.close();
      if (temporary) rmSync(temporary, { recursive: true, force: true });
    },
  };
}

/** Another process may hold the file's write lock; it is waited for without holding up anything else. */
async function unlessBusy<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === busyAttempts || !/^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))) throw error;
      await sleep(50);
    }
  }
}

function openWriter(file: string): Connection {
  try {
    mkdirSync(dirname(file), { recursive: true });
  } catch (cause) {
    throw new HappyViewError("DATABASE_UNREACHABLE", {
      message: `the folder of the SQLite file ${file} cannot be made`,
      hint: "check DATABASE_URL and the permissions of that folder",
      cause,
    });
  }
  const connection = open(file, {});
  try {
    connection.pragma("journal_mode = WAL");
    connection.pragma("synchronous = NORMAL");
    connection.pragma("foreign_keys = ON");
    // The defaults (2 MB of cache, a checkpoint every 4 MB) are for phones: batches touch pages all over the indexes.
    connection.pragma("cache_size = -65536");
    connection.pragma("wal_autocheckpoint = 8000");
    connection.pragma("journal_size_limit = 67108864");
    connection.exec("BEGIN IMMEDIATE; ROLLBACK");
    connection.exec("PRAGMA analysis_limit = 400; PRAGMA optimize = 0x10002");
  } catch (cause) {
    connection.close();
    const readOnly = /readonly|attempt to write/i.test(String(cause));
    throw new HappyViewError(readOnly ? "DATABASE_READ_ONLY" : "DATABASE_UNREACHABLE", {
      message: `the SQLite file ${file} cannot be ${readOnly ? "written" : "used"}`,
      hint: readOnly
        ? "make the file and its folder writable for the user that runs the server, or set DATABASE_URL to another place"
        : "if it is not a SQLite database, move it away or set DATABASE_URL to another file",
      cause,
    });
  }
  return connection;
}

function open(file: string, options: SqliteConnection.Options): Connection {
  try {
    return new SqliteConnection(file, { timeout: busyTimeoutMs, ...options });
  } catch (cause) {
    throw new HappyViewError("DATABASE_UNREACHABLE", {
      message: `the SQLite file ${file} cannot be opened`,
      hint: "check DATABASE_URL and that the file and its folder are readable and writable",
      cause,
    });
  }
}

function createQueries(connection: Connection, tables: <S>(schema: Schema<S>) => S): Queries {
  const statements = new Map<string, Statement>();
  const prepare = (sql: string): Statement => {
    let statement = statements.get(sql);
    if (!statement) {
      // Statement texts come from our code, so they are few; a plugin that builds them per call must not leak.
      if (statements.size > 500) statements.clear();
      statement = connection.prepare<unknown[], unknown>(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  return {
    dialect: "sqlite",
    tables,
    orm: createOrm(connection, async (work) => work()),
    async all<T>(sql: string, params: readonly SqlValue[] = []) {
      return prepare(sql).all(...params.map(bind)) as T[]; // the caller knows the columns it selects
    },
    async get<T>(sql: string, params: readonly SqlValue[] = []) {
      return prepare(sql).get(...params.map(bind)) as T | undefined;
    },
    async run(sql, params = []) {
      return prepare(sql).run(...params.map(bind)).changes;
    },
    async selectByKeys<T>(select: string, column: string, keys: readonly string[]) {
      const statement = prepare(`${select} WHERE ${column} = ?`);
      const rows: T[] = [];
      for (const key of keys) rows.push(...(statement.all(key) as T[]));
      return rows;
    },
    async insertMany(insert, rows) {
      const statement = prepare(insertSql(insert));
      for (const row of rows) statement.run(...row);
    },
    async deleteByKeys(table, column, keys) {
      const statement = prepare(`DELETE FROM ${table} WHERE ${column} = ?`);
      let changed = 0;
      for (const key of keys) changed += statement.run(key).changes;
      return changed;
    },
  };
}

function insertSql({ table, columns, onConflict }: BulkInsert): string {
  const names = Object.keys(columns);
  const values = names.map(() => "?").join(", ");
  return `INSERT INTO ${table} (${names.join(", ")}) VALUES (${values})${onConflict ? ` ON CONFLICT ${onConflict}` : ""}`;
}

function createOrm(connection: Connection, schedule: <T>(work: () => T) => Promise<T>): Orm {
  return drizzle<Record<string, never>>((sql, params, method) =>
    schedule(() => {
      const statement = connection.prepare<unknown[], unknown>(sql);
      const values = (params as SqlValue[]).map(bind); // drizzle hands over what its columns encoded
      if (!statement.reader) {
        statement.run(...values);
        return { rows: [] };
      }
      const rows = statement.raw().all(...values) as unknown[][];
      return { rows: method === "get" ? (rows[0] as unknown[]) : rows };
    }),
  );
}

function bind(value: SqlValue): SqlValue {
  return typeof value === "boolean" ? (value ? 1 : 0) : value;
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}
