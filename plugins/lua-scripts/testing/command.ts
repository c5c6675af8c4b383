import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { PluginCommand } from "../../../core/index.ts";
import type { HostedPool } from "../host/index.ts";
import { asScript } from "./prelude.ts";
import { scriptTests } from "./plugin.ts";

interface CaseResult {
  name: string;
  ok: boolean;
  error?: string;
}

interface FileResult {
  file: string;
  cases: CaseResult[];
}

const folder = "test/scripts";

/** `happyview test`: runs test/scripts/**\/*.test.lua on an instance in memory, with the project's lexicons and scripts. */
export const testCommand: PluginCommand<{ pool: Pick<HostedPool, "run"> }> = {
  description: `Run ${folder}/**/*.test.lua against the project's lexicons and scripts, in memory`,
  instance: { plugins: () => [scriptTests()] },
  async run({ api, args }) {
    const root = resolve(String(args["root"] ?? "."));
    const results: FileResult[] = [];
    for (const file of await testFiles(root))
      results.push({ file, cases: await runFile(api.pool, root, file) });
    const failed = results.flatMap(({ cases }) => cases).filter((result) => !result.ok).length;
    return { value: { failed, results }, text: describe(results), failed: failed > 0 };
  },
};

async function testFiles(root: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true }).catch(() => []);
  return names
    .filter((name) => name.endsWith(".test.lua"))
    .map((name) => `${folder}/${name}`)
    .toSorted();
}

async function runFile(pool: Pick<HostedPool, "run">, root: string, file: string): Promise<CaseResult[]> {
  const body = asScript(await readFile(join(root, file), "utf8"));
  const outcome = await pool.run({
    kind: "job",
    script: { trigger: file, body },
    env: {},
    job: { id: file, input: "null", createdBy: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" },
  });
  if (outcome.kind === "value") return JSON.parse(outcome.json) as CaseResult[]; // what asScript's handle returns
  const error =
    outcome.kind === "error"
      ? `${file}:${outcome.error.line ?? "?"}: ${outcome.error.message}`
      : "it has no test";
  return [{ name: "the file", ok: false, error }];
}

function describe(results: readonly FileResult[]): string {
  if (results.length === 0) return `there are no tests in ${folder}/: write one as ${folder}/status.test.lua`;
  const lines = results.flatMap(({ file, cases }) => [
    file,
    ...cases.map(({ name, ok, error }) => `  ${ok ? "✓" : "✗"} ${name}${error ? `\n      ${error}` : ""}`),
  ]);
  const all = results.flatMap(({ cases }) => cases);
  const failed = all.filter((result) => !result.ok).length;
  return [...lines, "", `${all.length - failed} passed, ${failed} failed`].join("\n");
}
