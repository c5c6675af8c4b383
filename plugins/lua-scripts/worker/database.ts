import type { RecordReader } from "../api/db.ts";
import { openPostgresReader } from "./database-postgres.ts";
import { openSqliteReader } from "./database-sqlite.ts";
import type { WorkerSetup } from "./protocol.ts";

/** The connections of one worker. They open at the first query, so that a worker starts without a database. */
export function openReader({
  database,
  rawProcess,
}: Pick<WorkerSetup, "database" | "rawProcess">): RecordReader {
  return database.dialect === "sqlite"
    ? openSqliteReader(database.file, rawProcess)
    : openPostgresReader(database.url);
}
