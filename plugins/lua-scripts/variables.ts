import { asc, eq } from "drizzle-orm";
import { z } from "zod";
import { explain } from "../../core/errors.ts";
import { HttpError, type PluginApp } from "../../core/index.ts";
import { resealAtStart } from "../../core/reseal.ts";
import { createSecretBox } from "../../core/secret-box.ts";
import { followEveryMs, followTable } from "./follow.ts";
import { createMask, type Mask } from "./mask.ts";
import { scriptsSchema } from "./migrations.ts";

/** The `env` of scripts, set by admins (lua §6.3); encrypted in the database where TOKEN_ENCRYPTION_KEY is set. */
export interface Variables {
  /** Shared: it changes only when an admin changes it, in whatever process. */
  env(): Readonly<Record<string, string>>;
  /** The text with each value that may be a secret replaced by its name. */
  mask: Mask;
}

export async function createVariables(
  app: Pick<PluginApp, "db" | "clock" | "admin" | "events" | "log" | "config" | "hook" | "onClose">,
  everyMs = followEveryMs,
): Promise<Variables> {
  const { db, clock, admin, events } = app;
  const { variables } = db.tables(scriptsSchema);
  const box = createSecretBox(
    app.config.env["TOKEN_ENCRYPTION_KEY"],
    app.config.env["TOKEN_ENCRYPTION_KEY_PREVIOUS"],
  );
  resealAtStart(app, box, [{ table: "happyview_script_variables", key: "key", column: "value" }]);
  /** Told once for each value, however often it is read. */
  const unreadable = new Set<string>();
  const read = async (): Promise<Map<string, Variable>> => {
    const found = new Map<string, Variable>();
    for (const row of await db.orm.select().from(variables).orderBy(asc(variables.key))) {
      try {
        found.set(row.key, { ...row, value: box.open(row.value) });
      } catch (error) {
        const id = `${row.key} ${row.updated_at}`;
        if (!unreadable.has(id))
          app.log.error("a script variable cannot be read and is left out", {
            key: row.key,
            error: explain(error),
          });
        unreadable.add(id);
      }
    }
    return found;
  };
  let rows = await read();
  let env = toEnv(rows);
  let mask = createMask(env);
  const changed = (): void => {
    env = toEnv(rows);
    mask = createMask(env);
  };
  const { edited } = followTable(app, {
    table: "happyview_script_variables",
    key: "key",
    read,
    apply(found) {
      rows = found;
      changed();
    },
    everyMs,
  });

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
      const sealed = { ...row, value: box.seal(value) };
      await db.orm
        .insert(variables)
        .values(sealed)
        .onConflictDoUpdate({ target: variables.key, set: sealed });
      rows.set(key, row);
      edited();
      changed();
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
      edited();
      changed();
      events.emit({ type: "script_variable.deleted", actor: caller.did, subject: key });
    },
  );
  return {
    env: () => env,
    mask: (text) => mask(text),
  };
}

interface Variable {
  key: string;
  value: string;
  created_at: string;
  updated_at: string;
}

function toEnv(rows: ReadonlyMap<string, { value: string }>): Readonly<Record<string, string>> {
  return Object.fromEntries([...rows].map(([key, { value }]) => [key, value]));
}

function preview(value: string): string {
  return value.length <= 4 ? "*".repeat(value.length) : `${value.slice(0, 4)}****`;
}
