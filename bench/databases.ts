import postgres from "postgres";
import type { Dialect } from "../core/db/database.ts";
import { startPostgres } from "../test/setup/postgres-server.ts";

/** Where the databases of a run are. */
export interface Databases {
  dialect: Dialect;
  /** The URL of an empty database. */
  create(name: string): Promise<string>;
  stop(): Promise<void>;
}

export function sqliteFiles(folder: string): Databases {
  return {
    dialect: "sqlite",
    create: async (name) => `file:${folder}/${name}.db`,
    stop: async () => {},
  };
}

/** A PostgreSQL of its own, set up as it comes: what is committed is on the disk. */
export async function postgresServer(): Promise<Databases> {
  const { url, stop } = await startPostgres();
  return {
    dialect: "postgres",
    async create(database) {
      const sql = postgres(`${url}postgres`, { max: 1 });
      await sql.unsafe(`CREATE DATABASE "${database}"`);
      await sql.end();
      return url + database;
    },
    stop,
  };
}
