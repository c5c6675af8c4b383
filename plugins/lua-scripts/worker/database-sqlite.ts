import type { RecordReader } from "../api/db.ts";
import { createRawClient } from "./raw-client.ts";
import { createSqliteStatements } from "./sqlite-statements.ts";

/** Synchronous, but for `db.raw`: a page costs less than a switch to another script would. */
export function openSqliteReader(file: string, rawProcess: string): RecordReader {
  const reader = createSqliteStatements(file, { readonly: true });
  const client = createRawClient(file, rawProcess);
  return {
    backend: "sqlite",
    records: <Row>(sql: string, params: readonly (string | number)[]) =>
      reader.prepare<Row>(sql).all(...params),
    count: (sql, params) => BigInt(reader.prepare<{ n: number }>(sql).get(...params)?.n ?? 0),
    raw: client.run,
    close() {
      reader.close();
      client.close();
    },
  };
}
