import { eq } from "drizzle-orm";
import type { Clock } from "./clock.ts";
import type { Database } from "./db/database.ts";
import { coreSchema } from "./db/tables.ts";
import { HappyViewError } from "./errors.ts";

/** A setting with a name, announced once by its owner. Precedence: stored row > environment > config > default (admin-api §2.12). */
export interface SettingDefinition {
  key: string;
  /** The environment variable that is used where nothing is stored. */
  env?: string;
  default?: string;
  /** What is wrong with a value, as admins are told who try to store it. One that is there all the same does not count. */
  problem?(value: string): string | undefined;
}

export interface Settings {
  define(definition: SettingDefinition): void;
  /** The value in force; undefined where the setting has none. Never waits: rows are held in memory. */
  get(key: string): string | undefined;
  /** True when the value in force is `true`, whatever its case. */
  isOn(key: string): boolean;
  /** What is wrong with a value for the setting, said by its definition. */
  problem(key: string, value: string): string | undefined;
  put(key: string, value: string): Promise<void>;
  /** False when no row is stored. */
  remove(key: string): Promise<boolean>;
  list(): { key: string; value: string; source: "database" | "env" }[];
}

export async function createSettings(
  db: Database,
  env: Readonly<Record<string, string | undefined>>,
  configured: Readonly<Record<string, string>>,
  clock: Clock,
): Promise<Settings> {
  const { settings } = db.tables(coreSchema);
  const stored = new Map((await db.orm.select().from(settings)).map((row) => [row.key, row.value]));
  const definitions = new Map<string, SettingDefinition>();
  const fromEnv = (key: string): string | undefined => {
    const name = definitions.get(key)?.env;
    return name === undefined ? undefined : env[name];
  };
  const problem = (key: string, value: string): string | undefined => definitions.get(key)?.problem?.(value);
  const get = (key: string): string | undefined =>
    [stored.get(key), fromEnv(key), configured[key]].find(
      (value) => value !== undefined && problem(key, value) === undefined,
    ) ?? definitions.get(key)?.default;

  return {
    define(definition) {
      if (definitions.has(definition.key))
        throw new HappyViewError("CONTRIBUTION_DUPLICATE", {
          message: `the setting "${definition.key}" is defined twice`,
          hint: "one plugin owns a setting; the other reads it",
        });
      definitions.set(definition.key, definition);
    },
    get,
    problem,
    isOn: (key) => get(key)?.toLowerCase() === "true",
    async put(key, value) {
      const row = { key, value, updated_at: clock.timestamp() };
      await db.orm.insert(settings).values(row).onConflictDoUpdate({ target: settings.key, set: row });
      stored.set(key, value);
    },
    async remove(key) {
      if (!stored.has(key)) return false;
      await db.orm.delete(settings).where(eq(settings.key, key));
      stored.delete(key);
      return true;
    },
    list() {
      const rows = [...stored].map(([key, value]) => ({ key, value, source: "database" as const }));
      const others = [...definitions.keys()].flatMap((key) => {
        const value = fromEnv(key);
        return value === undefined || stored.has(key) ? [] : [{ key, value, source: "env" as const }];
      });
      return [...rows.toSorted((a, b) => (a.key < b.key ? -1 : 1)), ...others];
    },
  };
}
