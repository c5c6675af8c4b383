import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { PluginCommand } from "../../../core/index.ts";
import type { HostedPool } from "../host/index.ts";
import { asScript } from "./prelude.ts";
import { scriptTests, someone, type ScriptBench } from "./plugin.ts";
import { brokenFile, describeResults, type CaseResult, type FileResult } from "./results.ts";
import { runModule } from "./module.ts";

const folder = "test/scripts";

/** `happyview test`: runs test/scripts/**\/*.test.lua and *.test.ts on an instance in memory, with the project's lexicons and scripts. */
export const testCommand: PluginCommand<{ pool: Pick<HostedPool, "run"> }> = {
  description: `Run ${folder}/**/*.test.lua and *.test.ts against the project's lexicons and scripts, in memory`,
  instance: { plugins: () => [scriptTests()] },
  async run({ api, app, args }) {
    const root = resolve(String(args["root"] ?? "."));
    const bench = app.api("script-tests") as ScriptBench; // what its setup returned
    const results: FileResult[] = [];
    for (const file of await testFiles(root)) {
      const isLua = file.endsWith(".lua");
      results.push({
        file,
        cases: await (isLua ? runLua(api.pool, root, file) : runModule(bench, root, file)),
      });
    }
    const failed = results.flatMap(({ cases }) => cases).filter((result) => !result.ok).length;
    const text =
      results.length > 0
        ? describeResults(results)
        : `there are no tests in ${folder}/: write one as ${folder}/status.test.lua or status.test.ts`;
    return { value: { failed, results }, text, failed: failed > 0 };
  },
};

async function testFiles(root: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true }).catch(() => []);
  return names
    .filter((name) => /\.test\.(lua|ts)$/.test(name))
    .map((name) => `${folder}/${name}`)
    .toSorted();
}

async function runLua(pool: Pick<HostedPool, "run">, root: string, file: string): Promise<CaseResult[]> {
  const body = asScript(await readFile(join(root, file), "utf8"));
  const outcome = await pool.run({
    kind: "job",
    script: { trigger: file, body },
    env: {},
    job: { id: file, input: "null", createdBy: someone },
  });
  if (outcome.kind === "value") return JSON.parse(outcome.json) as CaseResult[]; // what asScript's handle returns
  return brokenFile(
    outcome.kind === "error"
      ? `${file}:${outcome.error.line ?? "?"}: ${outcome.error.message}`
      : "it has no test",
  );
}
