import { HappyViewError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Database, Queries } from "./database.ts";

/** One step of an owner's schema, in order of `id`. A published step never changes. */
export interface Migration {
  /** `0001_what_it_does` */
  id: string;
  sqlite: string;
  postgres: string;
}

export interface MigrationOwner {
  name: string;
  migrations: readonly Migration[];
}

/**
 * Applies what is missing, owner by owner, each step in a transaction of its own.
 * Refuses a database that a newer version has already changed: old code on a newer schema loses data.
 */
export async function migrate(db: Database, owners: readonly MigrationOwner[], log: Logger): Promise<number> {
  await db.transaction(async (tx) => {
    await takeTurn(tx); // CREATE TABLE IF NOT EXISTS by two processes at once fails on Postgres
    await tx.run(
      "CREATE TABLE IF NOT EXISTS happyview_migrations (owner TEXT NOT NULL, id TEXT NOT NULL, applied_at TEXT NOT NULL, PRIMARY KEY (owner, id))",
    );
  });
  const rows = await db.all<{ owner: string; id: string }>("SELECT owner, id FROM happyview_migrations");
  const applied = new Set(rows.map((row) => `${row.owner}/${row.id}`));
  let count = 0;
  for (const owner of owners) {
    refuseNewer(owner, rows, db.location);
    for (const migration of owner.migrations) {
      if (applied.has(`${owner.name}/${migration.id}`)) continue;
      await apply(db, owner.name, migration);
      log.debug("migrated", { owner: owner.name, migration: migration.id });
      count += 1;
    }
  }
  return count;
}

function refuseNewer(
  owner: MigrationOwner,
  rows: readonly { owner: string; id: string }[],
  location: string,
): void {
  const known = new Set(owner.migrations.map((migration) => migration.id));
  const unknown = rows.filter((row) => row.owner === owner.name && !known.has(row.id)).map((row) => row.id);
  if (unknown.length === 0) return;
  throw new HappyViewError("DATABASE_NEWER", {
    message: `the database ${location} has migrations of "${owner.name}" that this version does not know: ${unknown.join(", ")}`,
    hint: "run the version of happyview that made them (or a newer one), or point DATABASE_URL at another database",
  });
}

async function apply(db: Database, owner: string, migration: Migration): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      await takeTurn(tx);
      const done = await tx.get("SELECT 1 FROM happyview_migrations WHERE owner = ? AND id = ?", [
        owner,
        migration.id,
      ]);
      if (done) return; // another process was first
      for (const statement of statements(migration[tx.dialect])) await tx.run(statement);
      await tx.run("INSERT INTO happyview_migrations (owner, id, applied_at) VALUES (?, ?, ?)", [
        owner,
        migration.id,
        new Date().toISOString(),
      ]);
    });
  } catch (cause) {
    throw new HappyViewError("MIGRATION_FAILED", {
      message: `the migration ${owner}/${migration.id} failed and was rolled back`,
      hint: "the database is as it was before this step; the cause says which statement was refused",
      cause,
    });
  }
}

/** On Postgres several processes may start at once; on SQLite the transaction itself is exclusive. */
async function takeTurn(tx: Queries): Promise<void> {
  if (tx.dialect === "postgres") await tx.get("SELECT pg_advisory_xact_lock(7236837112042)::text");
}

/** Statements are separated by a semicolon at the end of a line; triggers keep theirs inside one line. */
function statements(sql: string): string[] {
  return sql
    .split(/;[ \t]*(?:\n|$)/)
    .map((part) => part.trim())
    .filter((part) => part.length > 0);
}
