import { asc, eq } from "drizzle-orm";
import { z } from "zod";
import { HttpError, type PluginApp } from "../../core/index.ts";
import { scriptsSchema } from "./migrations.ts";

/** The `env` of scripts, set by admins (lua §6.3). */
export interface Variables {
  /** Shared: it changes only when an admin changes it. */
  env(): Readonly<Record<string, string>>;
}

export async function createVariables(
  app: Pick<PluginApp, "db" | "clock" | "admin" | "events">,
): Promise<Variables> {
  const { db, clock, admin, events } = app;
  const { variables } = db.tables(scriptsSchema);
  const rows = new Map(
    (await db.orm.select().from(variables).orderBy(asc(variables.key))).map((row) => [row.key, row]),
  );
  let env = toEnv(rows);

  admin.route("GET /script-variables", { permission: "script-variables:read" }, () =>
    [...rows.values()]
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ key, value, created_at, updated_at }) => ({
        key,
        preview: preview(value),
        created_at,
        updated_at,
      })),
  );
  const body = z.object({ key: z.string(), value: z.string() });
  admin.route(
    "POST /script-variables",
    { permission: "script-variables:create", body },
    async ({ body: { key, value }, caller }) => {
      const now = clock.timestamp();
      const row = { key, value, created_at: rows.get(key)?.created_at ?? now, updated_at: now };
      await db.orm.insert(variables).values(row).onConflictDoUpdate({ target: variables.key, set: row });
      rows.set(key, row);
      env = toEnv(rows);
      events.emit({ type: "script_variable.upserted", actor: caller.did, subject: key });
    },
  );
  admin.route(
    "DELETE /script-variables/:key",
    { permission: "script-variables:delete" },
    async ({ params, caller }) => {
      const key = params["key"] ?? "";
      if (!rows.has(key)) throw new HttpError(404, `script variable '${key}' not found`);
      await db.orm.delete(variables).where(eq(variables.key, key));
      rows.delete(key);
      env = toEnv(rows);
      events.emit({ type: "script_variable.deleted", actor: caller.did, subject: key });
    },
  );
  return { env: () => env };
}

function toEnv(rows: ReadonlyMap<string, { value: string }>): Readonly<Record<string, string>> {
  return Object.fromEntries([...rows].map(([key, { value }]) => [key, value]));
}

function preview(value: string): string {
  return value.length <= 4 ? "*".repeat(value.length) : `${value.slice(0, 4)}****`;
}
