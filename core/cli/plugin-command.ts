import { defineCommand, type CommandDef } from "citty";
import { createApp } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger } from "../log.ts";
import type { PluginCommand } from "../plugin.ts";
import { commonArgs, createOutput, fail } from "./output.ts";

/** A plugin's command as one of ours: it runs on the project's database, with streams and timers off. */
export function pluginCommand(name: string, command: PluginCommand, plugin: string): CommandDef {
  return defineCommand({
    meta: { name, description: command.description },
    args: { ...commonArgs, ...command.args },
    async run({ args }) {
      const json = args["json"] === true;
      try {
        const { config } = await loadConfig({ root: String(args["root"]), mode: "production" });
        await using app = await createApp({
          config,
          background: false,
          log: createLogger(json ? { json } : {}),
        });
        const { value, text } = await command.run({ api: app.api(plugin), args, db: app.db, log: app.log });
        createOutput({ json }).result(value, text ?? JSON.stringify(value, null, 2));
      } catch (error) {
        fail(error, { json });
      }
    },
  }) as CommandDef;
}
