import { createApp, type App } from "../core/app.ts";
import { loadConfig } from "../core/config/load.ts";
import { createLogger } from "../core/log.ts";
import { readFolder } from "../core/resources/files.ts";
import type { Scripts } from "../plugins/lua-scripts/scripts.ts";

/** The project of the bench on a database, without anything that works in the background. */
export async function openProject(root: string, databaseUrl: string): Promise<App> {
  const { config } = await loadConfig({ root, mode: "production", env: { DATABASE_URL: databaseUrl } });
  const files = { lexicons: await readFolder(root, "lexicons") };
  return createApp({ config, files, background: false, log: createLogger({ level: "error" }) });
}

/** Fills an empty database with the tables and lexicons of the project, and a record script if one is given. */
export async function prepare(root: string, databaseUrl: string, script?: string): Promise<void> {
  await using app = await openProject(root, databaseUrl);
  if (script === undefined) return;
  const { scripts } = app.api("lua-scripts") as { scripts: Scripts }; // the project has the plugin
  await scripts.put("record.index:bench.app.post", { body: script }, { origin: "admin" });
}
