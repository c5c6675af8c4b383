import SqliteConnection from "better-sqlite3";
import type { Connection } from "./statements.ts";

// A wait inside SQLite stops its whole thread: a short one there, the rest of it between attempts.
const busyTimeoutMs = 50;

export function openReader(file: string): Connection {
  const connection = new SqliteConnection(file, { timeout: busyTimeoutMs, readonly: true });
  connection.pragma("cache_size = -65536");
  return connection;
}

/** Makes the file if there is none; fails if it cannot be written. */
export function openWriter(file: string): Connection {
  const connection = new SqliteConnection(file, { timeout: busyTimeoutMs });
  try {
    connection.pragma("journal_mode = WAL");
    connection.pragma("synchronous = NORMAL");
    connection.pragma("foreign_keys = ON");
    // The defaults (2 MB of cache, a checkpoint every 4 MB) are for phones: batches touch pages all over the indexes.
    connection.pragma("cache_size = -65536");
    connection.pragma("wal_autocheckpoint = 32000");
    connection.pragma("journal_size_limit = 134217728");
    connection.exec("BEGIN IMMEDIATE; ROLLBACK");
    connection.exec("PRAGMA analysis_limit = 400; PRAGMA optimize = 0x10002");
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}

export function closeWriter(connection: Connection): void {
  // Statistics of what has grown a lot: without them the planner does not see what an index is worth.
  if (connection.open) connection.exec("PRAGMA analysis_limit = 400; PRAGMA optimize");
  connection.close();
}
