import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { drizzle } from "drizzle-orm/sqlite-proxy";
import { HappyViewError } from "../../errors.ts";
import type { Database, Queries, Transaction } from "../database.ts";
import { createTableCache, type Schema } from "../schema.ts";
import { openReader } from "./connection.ts";
import { createStatements, type Connection, type Statements } from "./statements.ts";
import { openWriter, type Perform, type Writer } from "./writer.ts";

const busyAttempts = 60;

/**
 * One writing connection, in a thread, and one reading connection, here. A transaction owns the writer: everything else
 * that writes waits until it ends, or it would land inside and be rolled back with it. Readers never wait (WAL).
 */
export async function openSqlite(path: string): Promise<Database> {
  const temporary = path === ":memory:" ? mkdtempSync(join(tmpdir(), "happyview-")) : undefined;
  const file = temporary ? join(temporary, "memory.db") : resolve(path);
  const { writer, reader } = await openFile(file);
  const tables = createTableCache("sqlite");
  const write = createQueries(writer.perform, tables);
  const statements = createStatements(reader);
  const readHere = (async (name, ...args: unknown[]) =>
    (statements[name] as (...args: unknown[]) => unknown)(...args)) as Perform;
  const read = createQueries(readHere, tables);
  let lock: Promise<void> | undefined;

  /** Another process may hold the file's write lock; it is waited for without holding up anything else. */
  const unlessBusy = async <T>(work: () => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (attempt === busyAttempts || !/^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))) throw error;
        await sleep(50);
      }
    }
  };
  const whenFree = <T>(work: () => Promise<T>): Promise<T> =>
    unlessBusy(async () => {
      while (lock) await lock;
      return work();
    });
  const { perform } = writer;

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
    orm: drizzle<Record<string, never>>((sql, params, method) =>
      /^\s*select\b/i.test(sql)
        ? readHere("orm", sql, params, method)
        : whenFree(() => perform("orm", sql, params, method)),
    ),
    async transaction(work) {
      while (lock) await lock;
      let release = (): void => {};
      lock = new Promise((done) => (release = done));
      try {
        await unlessBusy(() => perform("exec", "BEGIN IMMEDIATE"));
        const { tx, end } = createTransaction(perform, tables);
        try {
          const result = await work(tx).finally(end);
          await perform("exec", "COMMIT");
          return result;
        } catch (error) {
          await perform("rollBack");
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
      reader.close();
      await writer.close();
      if (temporary) rmSync(temporary, { recursive: true, force: true });
    },
  };
}

async function openFile(file: string): Promise<{ writer: Writer; reader: Connection }> {
  try {
    mkdirSync(dirname(file), { recursive: true });
  } catch (cause) {
    throw new HappyViewError("DATABASE_UNREACHABLE", {
      message: `the folder of the SQLite file ${file} cannot be made`,
      hint: "check DATABASE_URL and the permissions of that folder",
      cause,
    });
  }
  try {
    const writer = await openWriter(file);
    try {
      return { writer, reader: openReader(file) };
    } catch (error) {
      await writer.close();
      throw error;
    }
  } catch (cause) {
    if (/readonly|attempt to write/i.test(String(cause)))
      throw new HappyViewError("DATABASE_READ_ONLY", {
        message: `the SQLite file ${file} cannot be written`,
        hint: "make the file and its folder writable for the user that runs the server, or set DATABASE_URL to another place",
        cause,
      });
    const isForeign = codeOf(cause) === "SQLITE_NOTADB";
    throw new HappyViewError("DATABASE_UNREACHABLE", {
      message: `the SQLite file ${file} cannot be ${isForeign ? "used" : "opened"}`,
      hint: isForeign
        ? "it is not a SQLite database: move it away or set DATABASE_URL to another file"
        : "check DATABASE_URL and that the file and its folder are readable and writable",
      cause,
    });
  }
}

/** What is asked after its end would be no part of it. */
function createTransaction(
  perform: Perform,
  tables: <S>(schema: Schema<S>) => S,
): { tx: Transaction; end(): void } {
  let isOver = false;
  const whileOpen = ((name: Exclude<keyof Statements, "within">, ...args: unknown[]) =>
    isOver ? Promise.reject(new Error("the transaction is over")) : perform("within", name, args)) as Perform;
  return {
    tx: { ...createQueries(whileOpen, tables), lock: async () => {} },
    end: () => void (isOver = true),
  };
}

function createQueries(perform: Perform, tables: <S>(schema: Schema<S>) => S): Queries {
  return {
    dialect: "sqlite",
    tables,
    orm: drizzle<Record<string, never>>((sql, params, method) => perform("orm", sql, params, method)),
    // The caller knows the columns it selects.
    all: async <T>(sql: string, params = []) => (await perform("all", sql, params)) as T[],
    get: async <T>(sql: string, params = []) => (await perform("get", sql, params)) as T | undefined,
    run: (sql, params = []) => perform("run", sql, params),
    selectByKeys: async <T>(select: string, column: string, keys: readonly string[]) =>
      (keys.length === 0 ? [] : await perform("selectByKeys", select, column, keys)) as T[],
    insertMany: async (insert, rows) => (rows.length === 0 ? undefined : perform("insertMany", insert, rows)),
    deleteByKeys: async (table, column, keys) =>
      keys.length === 0 ? 0 : perform("deleteByKeys", table, column, keys),
  };
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}
