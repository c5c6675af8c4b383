import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Database } from "../../../../core/db/database.ts";
import { migrate } from "../../../../core/db/migrate.ts";
import { coreMigrations } from "../../../../core/db/migrations.ts";
import { createLogger } from "../../../../core/log.ts";
import type { Limits, ScriptOutcome } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { createPool, type Pool, type PoolOptions } from "../../../../plugins/lua-scripts/engine/pool.ts";
import type { ScriptParam } from "../../../../plugins/lua-scripts/engine/script-run.ts";

export const log = createLogger({ level: "silent" });

export interface TestPool {
  pool: Pool;
  database: Database;
  /** Runs the body of `handle` as a query. */
  query(code: string, options?: QueryOptions): Promise<ScriptOutcome>;
  /** The same; the result as text, for a run that must succeed. */
  evaluate(code: string, options?: QueryOptions): Promise<string>;
  close(): Promise<void>;
}

interface QueryOptions {
  params?: Record<string, ScriptParam>;
  limits?: Partial<Limits>;
  signal?: AbortSignal;
}

/** A pool on a database of its own: SQLite in a temporary folder unless a URL is given. */
export async function openTestPool(options: Partial<PoolOptions> = {}, url?: string): Promise<TestPool> {
  const folder = mkdtempSync(join(tmpdir(), "happyview-lua-"));
  const database = await connect({ url: url ?? `file:${join(folder, "test.db")}` });
  await migrate(database, [{ name: "core", migrations: coreMigrations }], log);
  const pool = createPool({ workers: 2, database: database.source, log, graceMs: 200, ...options });
  const query: TestPool["query"] = (code, { params = {}, limits = {}, signal } = {}) =>
    pool.run(
      {
        kind: "query",
        script: { trigger: "xrpc.query:test.example.query", body: `function handle()\n${code}\nend` },
        env: {},
        limits,
        query: { method: "test.example.query", params, collection: "test.example.record" },
      },
      signal ? { signal } : {},
    );
  return {
    pool,
    database,
    query,
    async evaluate(code, given) {
      const outcome = await query(code, given);
      if (outcome.kind === "error") throw new Error(`${outcome.error.type}: ${outcome.error.message}`);
      return outcome.kind === "nil" ? "null" : outcome.json;
    },
    async close() {
      await pool.close();
      await database.close();
      rmSync(folder, { recursive: true });
    },
  };
}
