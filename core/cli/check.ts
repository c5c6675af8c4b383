import { defineCommand } from "citty";
import { createApp } from "../app.ts";
import { loadConfig } from "../config/load.ts";
import { labelerSources } from "../config/labelers.ts";
import { networkLexiconSources } from "../config/network-lexicons.ts";
import { createLogger } from "../log.ts";
import type { CheckNote } from "../plugin.ts";
import { applyPlan, type ResourceProblem } from "../resources/reconcile.ts";
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
      const report = await check(args.root);
      const ok = report.problems.length === 0;
      createOutput(args).result({ ok, ...report }, describe(report));
      if (!ok) process.exitCode = 1;
    } catch (error) {
      fail(error, args);
    }
  },
});

export interface CheckReport {
  /** How many lexicons and scripts were read. */
  checked: number;
  problems: ResourceProblem[];
  /** What plugins say of the project; none is an error. */
  notes: (CheckNote & { plugin: string })[];
}

/** What is wrong with a project: tried on an instance in memory, whose background work never starts. */
export async function check(root: string): Promise<CheckReport> {
  const { config } = await loadConfig({ root, mode: "production" });
  const files = await readProject(config.root);
  await using app = await createApp({
    config: { ...config, database: { ...config.database, url: ":memory:" } },
    log: createLogger({ level: "silent" }),
    background: false,
  });
  const sources = {
    ...files,
    ...networkLexiconSources(config.networkLexicons),
    ...labelerSources(config.labelers),
  };
  const plan = await app.resources.plan(sources);
  const problems = [...plan.problems, ...(await applyPlan(plan))];
  const report: CheckReport = { checked: plan.steps.length, problems, notes: [] };
  for (const { name, check } of config.plugins) {
    const notes = await check?.({ api: app.api(name), db: app.db, files });
    report.notes.push(...(notes ?? []).map((note) => ({ plugin: name, ...note })));
  }
  return report;
}

function describe({ checked, problems, notes }: CheckReport): string {
  const marked = (mark: string, { message, hint }: { message: string; hint?: string | undefined }): string =>
    `${mark} ${message}${hint ? `\n  → ${hint}` : ""}`;
  const lines = notes.map(({ level, file, line, message, hint }) => {
    const where = file === undefined ? "" : `${file}${line === undefined ? "" : `:${line}`}: `;
    return marked(level === "warning" ? "!" : "·", { message: where + message, hint });
  });
  const head =
    problems.length === 0
      ? [`${checked} lexicons and scripts are good`]
      : problems.map((problem) => marked("✗", problem));
  return [...head, ...lines].join("\n");
}
