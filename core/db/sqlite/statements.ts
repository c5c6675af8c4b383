import type SqliteConnection from "better-sqlite3";
import type { BulkInsert, Row, SqlValue } from "../database.ts";

export type Connection = SqliteConnection.Database;
type Statement = SqliteConnection.Statement<unknown[], unknown>;

/** How drizzle wants its rows: lists of values, none for what only changes something. */
export type OrmMethod = "run" | "all" | "get" | "values";

/** What is done with a connection, one after the other; arguments and results can be sent between threads. */
export interface Statements {
  exec(sql: string): void;
  /**
   * One of the others as a part of the open transaction. SQLite ends one by itself when the disk or memory is full: what
   * is asked afterwards would be no part of it, and stay.
   */
  within(name: Exclude<keyof Statements, "within">, args: readonly unknown[]): unknown;
  rollBack(): void;
  all(sql: string, params: readonly SqlValue[]): Row[];
  get(sql: string, params: readonly SqlValue[]): Row | undefined;
  /** The number of rows changed. */
  run(sql: string, params: readonly SqlValue[]): number;
  selectByKeys(select: string, column: string, keys: readonly string[]): Row[];
  insertMany(insert: BulkInsert, rows: readonly (readonly SqlValue[])[]): void;
  deleteByKeys(table: string, column: string, keys: readonly string[]): number;
  orm(sql: string, params: readonly SqlValue[], method: OrmMethod): { rows: unknown[] };
}

// Statement texts come from our code, so they are few; a plugin that builds them per call must not leak.
const maxPrepared = 500;

export function createStatements(connection: Connection): Statements {
  const prepared = new Map<string, Statement>();
  const prepare = (sql: string): Statement => {
    let statement = prepared.get(sql);
    if (!statement) {
      if (prepared.size > maxPrepared) prepared.clear();
      statement = connection.prepare<unknown[], unknown>(sql);
      prepared.set(sql, statement);
    }
    return statement;
  };
  const statements: Statements = {
    within(name, args) {
      if (!connection.inTransaction) throw new Error("SQLite has ended the transaction");
      return (statements[name] as (...args: readonly unknown[]) => unknown)(...args);
    },
    exec: (sql) => void connection.exec(sql),
    rollBack() {
      if (connection.inTransaction) connection.exec("ROLLBACK");
    },
    all: (sql, params) => prepare(sql).all(...params.map(bind)) as Row[],
    get: (sql, params) => prepare(sql).get(...params.map(bind)) as Row | undefined,
    run: (sql, params) => prepare(sql).run(...params.map(bind)).changes,
    selectByKeys(select, column, keys) {
      const statement = prepare(`${select} WHERE ${column} = ?`);
      return keys.flatMap((key) => statement.all(key) as Row[]);
    },
    insertMany(insert, rows) {
      const statement = prepare(insertSql(insert));
      for (const row of rows) statement.run(...row);
    },
    deleteByKeys(table, column, keys) {
      const statement = prepare(`DELETE FROM ${table} WHERE ${column} = ?`);
      let changed = 0;
      for (const key of keys) changed += statement.run(key).changes;
      return changed;
    },
    orm(sql, params, method) {
      const statement = connection.prepare<unknown[], unknown>(sql);
      const values = params.map(bind);
      if (!statement.reader) {
        statement.run(...values);
        return { rows: [] };
      }
      const rows = statement.raw().all(...values) as unknown[][];
      return { rows: method === "get" ? (rows[0] as unknown[]) : rows };
    },
  };
  return statements;
}

function insertSql({ table, columns, onConflict }: BulkInsert): string {
  const names = Object.keys(columns);
  const values = names.map(() => "?").join(", ");
  return `INSERT INTO ${table} (${names.join(", ")}) VALUES (${values})${onConflict ? ` ON CONFLICT ${onConflict}` : ""}`;
}

function bind(value: SqlValue): SqlValue {
  return typeof value === "boolean" ? (value ? 1 : 0) : value;
}
