import SqliteConnection from "better-sqlite3";

type Connection = SqliteConnection.Database;
type Statement<Row> = SqliteConnection.Statement<unknown[], Row>;

const maxStatements = 200;
const busyMs = 5000;

/** A connection that opens when it is needed, with the statements it has prepared. */
export interface SqliteStatements {
  connection(): Connection;
  prepare<Row>(sql: string): Statement<Row>;
  close(): void;
}

export function createSqliteStatements(file: string, options: { readonly: boolean }): SqliteStatements {
  let opened: Connection | undefined;
  const statements = new Map<string, Statement<unknown>>();
  const connection = (): Connection => (opened ??= open(file, options));
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

function open(file: string, { readonly }: { readonly: boolean }): Connection {
  const connection = new SqliteConnection(file, { readonly, timeout: busyMs });
  if (!readonly) {
    connection.pragma("foreign_keys = ON");
    connection.pragma("synchronous = NORMAL");
  }
  return connection;
}
