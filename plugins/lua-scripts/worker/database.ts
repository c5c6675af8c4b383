import SqliteConnection from "better-sqlite3";
import postgres from "postgres";
import type { DatabaseSource } from "../../../core/db/database.ts";
import type { Page, RecordReader, StoredRecord } from "../api/db.ts";

const columns = "uri, record, created_at";
const order = "ORDER BY created_at DESC, uri DESC";

/** The read connection of one worker. It opens at the first query, so that a worker starts without a database. */
export function openReader(source: DatabaseSource): RecordReader {
  return source.dialect === "sqlite" ? openSqliteReader(source.file) : openPostgresReader(source.url);
}

/** Synchronous: a page costs less than a switch to another script would. */
function openSqliteReader(file: string): RecordReader {
  let connection: SqliteConnection.Database | undefined;
  const statements = new Map<string, SqliteConnection.Statement<unknown[], StoredRecord>>();
  const prepare = (sql: string): SqliteConnection.Statement<unknown[], StoredRecord> => {
    connection ??= new SqliteConnection(file, { readonly: true, timeout: 5000 });
    let statement = statements.get(sql);
    if (!statement) {
      statement = connection.prepare<unknown[], StoredRecord>(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  return {
    backend: "sqlite",
    page(page) {
      const { sql, values } = pageQuery(page, () => "?");
      return prepare(sql).all(...values);
    },
    byUri: (uri) => prepare(`SELECT ${columns} FROM happyview_records WHERE uri = ?`).get(uri),
    close: () => void connection?.close(),
  };
}

function openPostgresReader(url: string): RecordReader {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 10,
    onnotice: () => {},
    // A script must not hold the worker's only connection for ever.
    connection: {
      application_name: "happyview scripts",
      statement_timeout: 10_000,
      default_transaction_read_only: true,
    },
  });
  const read = async (text: string, values: (string | number)[]): Promise<StoredRecord[]> => [
    ...(await sql.unsafe<StoredRecord[]>(text, values, { prepare: true })),
  ];
  return {
    backend: "postgres",
    page(page) {
      const { sql: text, values } = pageQuery(page, (n) => `$${n}`);
      return read(text, values);
    },
    byUri: async (uri) => (await read(`SELECT ${columns} FROM happyview_records WHERE uri = $1`, [uri]))[0],
    close: () => sql.end({ timeout: 1 }),
  };
}

function pageQuery(page: Page, mark: (n: number) => string): { sql: string; values: (string | number)[] } {
  const values: (string | number)[] = [];
  const bind = (value: string | number): string => mark(values.push(value));
  const where = [`collection = ${bind(page.collection)}`];
  if (page.did !== undefined) where.push(`did = ${bind(page.did)}`);
  // The row comparison lets both databases seek in the index.
  if (page.after) where.push(`(created_at, uri) < (${bind(page.after.createdAt)}, ${bind(page.after.uri)})`);
  const sql = `SELECT ${columns} FROM happyview_records WHERE ${where.join(" AND ")} ${order} LIMIT ${bind(page.limit)}`;
  return { sql, values };
}
