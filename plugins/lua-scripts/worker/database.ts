import type { DatabaseSource } from "../../../core/db/database.ts";
import type { RecordReader } from "../api/db.ts";
import { openPostgresReader } from "./database-postgres.ts";
import { openSqliteReader } from "./database-sqlite.ts";

/** The connections of one worker. They open at the first query, so that a worker starts without a database. */
export function openReader(source: DatabaseSource): RecordReader {
  return source.dialect === "sqlite" ? openSqliteReader(source.file) : openPostgresReader(source.url);
}
