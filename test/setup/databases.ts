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

/** Databases of earlier tests of this file, emptied: making one takes ten times as long. */
const emptied: string[] = [];

async function openPostgresDatabase(): Promise<TestDatabase> {
  const base = inject("postgresUrl");
  const name = emptied.pop() ?? (await createDatabase(base));
  return {
    url: base + name,
    async drop() {
      await asAdmin(
        base + name,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND pid <> pg_backend_pid();
         DROP SCHEMA public CASCADE;
         CREATE SCHEMA public`,
      );
      emptied.push(name);
    },
  };
}

async function createDatabase(base: string): Promise<string> {
  const name = `t_${randomBytes(8).toString("hex")}`;
  await asAdmin(`${base}postgres`, `CREATE DATABASE ${name}`);
  return name;
}

async function asAdmin(url: string, statements: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(statements);
  } finally {
    await sql.end({ timeout: 1 });
  }
}
