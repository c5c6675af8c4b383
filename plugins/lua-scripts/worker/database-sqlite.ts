import SqliteConnection from "better-sqlite3";
import type { RecordReader, StoredRecord } from "../api/db.ts";
import { cellOf, rawLimits, type RawParam, type RawRows } from "../api/db-raw.ts";
import type { RawBatch, RawStatement } from "../api/db-raw-statements.ts";
import { ScriptError } from "../engine/engine.ts";

type Connection = SqliteConnection.Database;
type Statement<Row> = SqliteConnection.Statement<unknown[], Row>;

const maxStatements = 200;
const busyMs = 5000;

/** Synchronous: a page costs less than a switch to another script would. */
export function openSqliteReader(file: string): RecordReader {
  const reader = createStatements(() => new SqliteConnection(file, { readonly: true, timeout: busyMs }));
  const writer = createStatements(() => {
    const connection = new SqliteConnection(file, { timeout: busyMs });
    connection.pragma("foreign_keys = ON");
    connection.pragma("synchronous = NORMAL");
    return connection;
  });
  return {
    backend: "sqlite",
    records: (sql, params) => reader.prepare<StoredRecord>(sql).all(...params),
    count: (sql, params) => BigInt(reader.prepare<{ n: number }>(sql).get(...params)?.n ?? 0),
    raw(batch, params, rows) {
      const connection = writer.connection();
      try {
        runBatch(writer.prepare, batch, params, rows);
      } finally {
        if (connection.inTransaction) connection.exec("ROLLBACK");
        if (batch.changesConnection) writer.close();
      }
    },
    close() {
      reader.close();
      writer.close();
    },
  };
}

/** A connection that opens when it is needed, with the statements it has prepared. */
function createStatements(open: () => Connection): {
  connection(): Connection;
  prepare<Row>(sql: string): Statement<Row>;
  close(): void;
} {
  let opened: Connection | undefined;
  const statements = new Map<string, Statement<unknown>>();
  const connection = (): Connection => (opened ??= open());
  return {
    connection,
    prepare<Row>(sql: string) {
      let statement = statements.get(sql);
      if (!statement) {
        if (statements.size >= maxStatements) statements.clear();
        statement = connection().prepare<unknown[], unknown>(sql);
        statements.set(sql, statement);
      }
      return statement as Statement<Row>; // the caller knows the columns it selects
    },
    close() {
      statements.clear();
      opened?.close();
      opened = undefined;
    },
  };
}

function runBatch(
  prepare: (sql: string) => Statement<unknown>,
  { statements }: RawBatch,
  params: readonly RawParam[],
  rows: RawRows,
): void {
  const end = performance.now() + rawLimits.seconds * 1000;
  for (const { sql, params: count } of statements) {
    const statement = prepare(sql);
    const values = bound(count, params);
    if (!statement.reader) {
      statement.run(...values);
      continue;
    }
    statement.raw(true).safeIntegers(true);
    const columns = statement.columns().map(({ name }) => name);
    for (const row of statement.iterate(...values)) {
      // A statement can only be stopped between two rows.
      if (performance.now() > end)
        throw new ScriptError(`db.raw query failed: it took longer than ${rawLimits.seconds} s`);
      rows.add(columns, (row as unknown[]).map(cellOf)); // raw: a row is the list of its values
    }
  }
}

/** Numbered parameters are bound by number; one that was not given is null. */
function bound(
  count: RawStatement["params"],
  params: readonly RawParam[],
): [] | [Record<number, RawParam | null>] {
  if (count === 0) return [];
  return [Object.fromEntries(Array.from({ length: count }, (_, i) => [i + 1, params[i] ?? null]))];
}
