import { createApp } from "../core/app.ts";
import { loadConfig } from "../core/config/load.ts";
import { createLogger } from "../core/log.ts";
import { readFolder } from "../core/resources/files.ts";
import type { Scripts } from "../plugins/lua-scripts/scripts.ts";

/** Fills an empty database with the tables and lexicons of the project, and a record script if one is given. */
export async function prepare(root: string, url: string, script?: string): Promise<void> {
  const { config } = await loadConfig({ root, mode: "production", env: { DATABASE_URL: url } });
  const files = { lexicons: await readFolder(root, "lexicons") };
  await using app = await createApp({
    config,
    files,
    background: false,
    log: createLogger({ level: "error" }),
  });
  if (script === undefined) return;
  const { scripts } = app.api("lua-scripts") as { scripts: Scripts }; // the project has the plugin
  await scripts.put("record.index:bench.app.post", { body: script }, { origin: "admin" });
}
