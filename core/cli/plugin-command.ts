import { defineCommand, type CommandDef } from "citty";
import { createApp, type AppOptions } from "../app.ts";
import type { Config } from "../config/resolve.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger } from "../log.ts";
import type { PluginCommand, RemoteCommand } from "../plugin.ts";
import { commonArgs, createOutput, fail } from "./output.ts";
import { readProject } from "./project.ts";
import { remoteServer } from "./remote.ts";

/** A plugin's command as one of ours: it runs on the project's database, with streams and timers off. */
export function pluginCommand(name: string, command: PluginCommand, plugin: string): CommandDef {
  return defineCommand({
    meta: { name, description: command.description },
    args: { ...commonArgs, ...command.args },
    async run({ args }) {
      const json = args["json"] === true;
      try {
        const { config } = await loadConfig({ root: String(args["root"]), mode: "production" });
        const options = command.instance ? await inMemory(config, command.instance) : { config };
        const log = createLogger({
          ...(json ? { json } : {}),
          ...(command.instance ? { level: "error" } : {}),
        });
        await using app = await createApp({ ...options, background: false, log });
        const { value, text, failed } = await command.run({
          api: app.api(plugin),
          app,
          args,
          db: app.db,
          log: app.log,
        });
        createOutput({ json }).result(value, text ?? JSON.stringify(value, null, 2));
        if (failed) process.exitCode = 1;
      } catch (error) {
        fail(error, { json });
      }
    },
  }) as CommandDef;
}

/** A plugin's command that asks a running server. */
export function remoteCommand(name: string, command: RemoteCommand): CommandDef {
  const url = { type: "string", description: "The server; default: PUBLIC_URL of the project" } as const;
  return defineCommand({
    meta: { name, description: command.description },
    args: { ...commonArgs, url, ...command.args },
    async run({ args }) {
      const json = args["json"] === true;
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      try {
        const { config } = await loadConfig({ root: String(args["root"]), mode: "production" });
        const server = remoteServer(config, args["url"] as string | undefined); // as its definition says
        const isInteractive = process.stderr.isTTY === true;
        const { value, text, failed } = await command.run({
          server,
          args,
          isInteractive,
          signal: stop.signal,
        });
        createOutput({ json }).result(value, text ?? JSON.stringify(value, null, 2));
        if (failed) process.exitCode = 1;
      } catch (error) {
        fail(error, { json });
      }
    },
  }) as CommandDef;
}

/** The project's lexicons and scripts on an empty database, with the plugins that the command adds. */
async function inMemory(
  config: Config,
  { plugins }: NonNullable<PluginCommand["instance"]>,
): Promise<AppOptions> {
  return {
    config: {
      ...config,
      database: { ...config.database, url: ":memory:" },
      plugins: [...config.plugins, ...(plugins?.() ?? [])],
    },
    files: await readProject(config.root),
  };
}
