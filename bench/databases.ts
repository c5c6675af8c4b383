import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import type { Dialect } from "../core/db/database.ts";
import { startPostgres } from "../test/setup/postgres-server.ts";

/** Where the databases of a run are. */
export interface Databases {
  dialect: Dialect;
  /** The URL of an empty database; what an earlier measurement has left to be written is written, and its database gone. */
  create(name: string): Promise<string>;
  stop(): Promise<void>;
}

export function sqliteFiles(folder: string): Databases {
  return {
    dialect: "sqlite",
    async create(name) {
      for (const file of readdirSync(folder)) if (file !== "reads.db") rmSync(join(folder, file));
      execFileSync("sync");
      return `file:${folder}/${name}.db`;
    },
    stop: async () => {},
  };
}

/** A PostgreSQL of its own, set up as it comes: what is committed is on the disk. */
export async function postgresServer(): Promise<Databases> {
  const { url, stop } = await startPostgres();
  let last: string | undefined;
  return {
    dialect: "postgres",
    async create(database) {
      const sql = postgres(`${url}postgres`, { max: 1 });
      if (last !== undefined) await sql.unsafe(`DROP DATABASE "${last}" WITH (FORCE)`);
      last = database;
      await sql.unsafe(`CREATE DATABASE "${database}"`);
      await sql.unsafe("CHECKPOINT");
      execFileSync("sync");
      await sql.end();
      return url + database;
    },
    stop,
  };
}
