import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { inject } from "vitest";
import { connect, type Database, type Dialect } from "../../core/db/database.ts";
import { migrate } from "../../core/db/migrate.ts";
import { coreMigrations } from "../../core/db/migrations.ts";
import { silent } from "./log.ts";

/** An empty database of one test. */
export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

export interface DatabaseSubject {
  name: Dialect;
  open(): Promise<TestDatabase>;
}

/** Both dialects, for `describe.each(databases())`. */
export function databases(): DatabaseSubject[] {
  return [
    { name: "sqlite", open: openSqliteFile },
    { name: "postgres", open: openPostgresDatabase },
  ];
}

/** A connected database with core's tables; disposing it closes and drops. */
export async function migrated(subject: DatabaseSubject): Promise<Database & AsyncDisposable> {
  const { url, drop } = await subject.open();
  const db = await connect({ url, maxConnections: 8 });
  await migrate(db, [{ name: "core", migrations: coreMigrations }], silent);
  const dispose = async (): Promise<void> => {
    await db.close();
    await drop();
  };
  return { ...db, [Symbol.asyncDispose]: dispose };
}

async function openSqliteFile(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), "happyview-test-"));
  return {
    url: `file:${join(folder, "test.db")}`,
    drop: () => rm(folder, { recursive: true, force: true }),
  };
}

async function openPostgresDatabase(): Promise<TestDatabase> {
  const base = inject("postgresUrl");
  const name = `t_${randomBytes(8).toString("hex")}`;
  await asAdmin(base, (sql) => sql.unsafe(`CREATE DATABASE ${name}`));
  return {
    url: base + name,
    drop: () => asAdmin(base, (sql) => sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
  };
}

async function asAdmin(base: string, work: (sql: postgres.Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(`${base}postgres`, { max: 1, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}
