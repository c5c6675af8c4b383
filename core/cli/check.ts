import { defineCommand } from "citty";
import { createApp } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger } from "../log.ts";
import type { ResourcePlan } from "../resources/reconcile.ts";
import { commonArgs, createOutput, fail } from "./output.ts";
import { readProject } from "./project.ts";

export const checkCommand = defineCommand({
  meta: {
    name: "check",
    description: "Validate the config, every lexicon and every script, without touching a database",
  },
  args: commonArgs,
  async run({ args }) {
    try {
      const plan = await check(args.root);
      const { problems, steps } = plan;
      const text =
        problems.length === 0
          ? `${steps.length} lexicons and scripts are good`
          : problems.map((p) => `✗ ${p.message}${p.hint ? `\n  → ${p.hint}` : ""}`).join("\n");
      createOutput(args).result({ ok: problems.length === 0, checked: steps.length, problems }, text);
      if (problems.length > 0) process.exitCode = 1;
    } catch (error) {
      fail(error, args);
    }
  },
});

/** What is wrong with a project: tried on an instance in memory, whose background work never starts. */
export async function check(root: string): Promise<ResourcePlan> {
  const { config } = await loadConfig({ root, mode: "production" });
  await using app = await createApp({
    config: { ...config, database: { ...config.database, url: ":memory:" } },
    log: createLogger({ level: "silent" }),
    background: false,
  });
  return await app.resources.plan(await readProject(config.root)); // awaited: the app closes at the return
}
