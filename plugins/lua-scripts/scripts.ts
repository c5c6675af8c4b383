import { asc, eq } from "drizzle-orm";
import type { PluginApp } from "../../core/index.ts";
import type { Origin, StoredResource } from "../../core/resources/kind.ts";
import { followEveryMs, followTable } from "./follow.ts";
import { scriptsSchema } from "./migrations.ts";
import type { ScriptSource } from "./engine/script-run.ts";
import { outboundXrpcs } from "./outbound.ts";
import { pathOfTrigger } from "./triggers.ts";

export type ScriptRow = ReturnType<typeof scriptsSchema.build>["scripts"]["$inferSelect"];

export interface ScriptInput {
  body: string;
  scriptType?: string;
  description?: string | null;
}

/** The scripts by trigger, in memory: an edit acts on the next run (lua §0.3), one of another process within seconds. */
export interface Scripts {
  get(trigger: string): ScriptRow | undefined;
  /** The one script that runs for a record event: the action's own, else the index script (lua §1.2). */
  forRecord(action: string, collection: string): ScriptRow | undefined;
  list(): ScriptRow[];
  stored(): StoredResource[];
  put(
    trigger: string,
    input: ScriptInput,
    by: { origin: Origin; configHash?: string | null },
  ): Promise<{ row: ScriptRow; isNew: boolean }>;
  remove(trigger: string): Promise<boolean>;
}

/** What a script is called in messages: its file, or its trigger where an admin made it. */
export function sourceName({ id, origin }: Pick<ScriptRow, "id" | "origin">): string {
  return origin === "config" ? pathOfTrigger(id) : id;
}

/** As a run takes it. */
export function toSource(row: ScriptRow): ScriptSource {
  return { trigger: row.id, name: sourceName(row), body: row.body };
}

export async function createScripts(
  app: Pick<PluginApp, "db" | "clock" | "log" | "hook" | "onClose">,
  everyMs = followEveryMs,
): Promise<Scripts> {
  const { db, clock } = app;
  const { scripts } = db.tables(scriptsSchema);
  const read = async (): Promise<ReadonlyMap<string, ScriptRow>> =>
    new Map((await db.orm.select().from(scripts).orderBy(asc(scripts.id))).map((row) => [row.id, row]));
  let known = new Map(await read());
  const { edited } = followTable(app, {
    table: "happyview_scripts",
    key: "id",
    read,
    apply: (rows) => void (known = new Map(rows)),
    everyMs,
  });
  const runnable = (trigger: string): ScriptRow | undefined => {
    const row = known.get(trigger);
    return row?.script_type === "lua" ? row : undefined;
  };
  return {
    get: runnable,
    forRecord: (action, collection) =>
      runnable(`record.${action}:${collection}`) ?? runnable(`record.index:${collection}`),
    list: () => [...known.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    stored: () =>
      [...known.values()].map((row) => ({
        id: row.id,
        origin: row.origin === "config" ? "config" : "admin",
        configHash: row.config_hash,
      })),
    async put(trigger, input, by) {
      const before = known.get(trigger);
      const now = clock.timestamp();
      const row: ScriptRow = {
        id: trigger,
        body: input.body,
        description: input.description ?? null,
        script_type: input.scriptType ?? "lua",
        outbound_xrpcs: outboundXrpcs(input.body),
        created_at: before?.created_at ?? now,
        updated_at: now,
        origin: by.origin,
        config_hash: by.configHash ?? before?.config_hash ?? null,
      };
      await db.orm.insert(scripts).values(row).onConflictDoUpdate({ target: scripts.id, set: row });
      known.set(trigger, row);
      edited();
      return { row, isNew: !before };
    },
    async remove(trigger) {
      if (!known.has(trigger)) return false;
      await db.orm.delete(scripts).where(eq(scripts.id, trigger));
      known.delete(trigger);
      edited();
      return true;
    },
  };
}
