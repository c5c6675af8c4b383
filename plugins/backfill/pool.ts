import type { PluginApp } from "../../core/index.ts";
import type { BackfillSettings, Concurrency } from "./settings.ts";

/** Connections for what runs besides fetching and resolving. */
const spareConnections = 4;
const ceilings = { sqlite: 64, postgres: 256 } as const;

/** The connections of backfills, by the settings in force; BACKFILL_DATABASE_MAX_CONNECTIONS wins (sync-and-xrpc §3.6). */
export function poolSize({ config, db }: Pick<PluginApp, "config" | "db">, concurrency: Concurrency): number {
  const asked = Number(config.env["BACKFILL_DATABASE_MAX_CONNECTIONS"]);
  return Number.isInteger(asked) && asked >= 1 ? asked : needed(concurrency, ceilings[db.dialect]);
}

function needed({ pds, didsPerPds, resolution }: Concurrency, ceiling: number): number {
  return Math.min(pds * didsPerPds + resolution + spareConnections, ceiling);
}

/** `GET /admin/settings/db-info`: what the pools have and what the settings would need. */
export function databaseInfo(
  app: Pick<PluginApp, "admin" | "config" | "db">,
  size: number,
  settings: Pick<BackfillSettings, "concurrency">,
): void {
  const { db, config } = app;
  app.admin.route("GET /settings/db-info", { permission: "settings:manage" }, async () => {
    const limit =
      db.dialect === "postgres"
        ? await db.get<{ n: number }>("SELECT current_setting('max_connections')::int AS n")
        : undefined;
    return {
      backend: db.dialect,
      server_max_connections: limit?.n ?? null,
      main_pool_size: config.database.maxConnections,
      backfill_pool_size: size,
      restart_recommended: poolSize(app, settings.concurrency()) > size,
    };
  });
}
