import { defineCommand, runMain, type CommandDef } from "citty";
import { loadConfig } from "../config/load.ts";
import { version } from "../version.ts";
import { buildCommand } from "./build.ts";
import { checkCommand } from "./check.ts";
import { devCommand } from "./dev.ts";
import { fail } from "./output.ts";
import { pluginCommand, remoteCommand } from "./plugin-command.ts";
import { startCommand } from "./start.ts";

const builtIn: Record<string, CommandDef> = {
  dev: devCommand as CommandDef,
  build: buildCommand as CommandDef,
  start: startCommand as CommandDef,
  check: checkCommand as CommandDef,
};

/** `happyview <command>`: ours, and those of the plugins in the config. */
export async function main(argv: string[] = process.argv.slice(2)): Promise<void> {
  const command = defineCommand({
    meta: {
      name: "happyview",
      version,
      description: "Build an AT Protocol AppView from lexicons and Lua scripts",
    },
    subCommands: { ...builtIn, ...(await pluginCommands(argv)) },
  });
  await runMain(command, { rawArgs: argv });
}

/** The config is read only where a plugin's command may be meant: a broken one must not keep `--help` from working. */
async function pluginCommands(argv: string[]): Promise<Record<string, CommandDef>> {
  const name = argv.find((arg) => !arg.startsWith("-"));
  if (name !== undefined && name in builtIn) return {};
  const at = argv.indexOf("--root");
  try {
    const { config } = await loadConfig({ root: at < 0 ? "." : (argv[at + 1] ?? "."), mode: "production" });
    return Object.fromEntries(
      config.plugins.flatMap((plugin) => [
        ...Object.entries(plugin.commands).map(([command, definition]) => [
          command,
          pluginCommand(command, definition, plugin.name),
        ]),
        ...Object.entries(plugin.remoteCommands ?? {}).map(([command, definition]) => [
          command,
          remoteCommand(command, definition),
        ]),
      ]),
    );
  } catch (error) {
    if (name !== undefined) fail(error, { json: argv.includes("--json") });
    return {};
  }
}

if (import.meta.main) await main();
