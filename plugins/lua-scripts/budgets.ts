import type { PluginApp } from "../../core/index.ts";
import type { Limits } from "./engine/engine.ts";
import type { ScriptRun } from "./engine/script-run.ts";

/** What admins set for runs of a kind; asked before each run. What it leaves out, the config decides. */
export type Budgets = (kind: ScriptRun["kind"]) => Partial<Limits>;

/** Without defaults: where neither a row nor the environment says anything, the plugin's option `limits` holds (lua §2.2). */
const instructions = range("script_instruction_limit", "SCRIPT_INSTRUCTION_LIMIT", 1000, 1_000_000_000);
const seconds = range("script_wall_clock_seconds", "SCRIPT_WALL_CLOCK_SECONDS", 1, 300);

export function createBudgets({
  settings,
  config,
  log,
}: Pick<PluginApp, "settings" | "config" | "log">): Budgets {
  for (const definition of [instructions, seconds]) {
    settings.define(definition);
    const given = config.env[definition.env];
    const problem = given === undefined ? undefined : definition.problem(given);
    if (problem !== undefined) log.warn(`${definition.env} is ignored: ${problem}`);
  }
  const read = ({ key }: { key: string }): number | undefined => {
    const value = settings.get(key);
    return value === undefined ? undefined : Number(value);
  };
  return (kind) => {
    if (kind === "job") return {};
    const limit = read(instructions);
    const wallClock = kind === "query" || kind === "procedure" ? read(seconds) : undefined;
    return {
      ...(limit === undefined ? {} : { instructions: limit }),
      ...(wallClock === undefined ? {} : { milliseconds: wallClock * 1000 }),
    };
  };
}

function range(key: string, env: string, min: number, max: number) {
  const problem = (value: string): string | undefined =>
    /^\d+$/.test(value) && Number(value) >= min && Number(value) <= max
      ? undefined
      : `${key} must be an integer from ${min} to ${max}`;
  return { key, env, problem };
}
