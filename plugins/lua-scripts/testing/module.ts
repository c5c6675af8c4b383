import { join } from "node:path";
import { importFile } from "../../../core/config/import-file.ts";
import { explain } from "../../../core/errors.ts";
import { collect } from "./index.ts";
import type { ScriptBench } from "./plugin.ts";
import { brokenFile, type CaseResult } from "./results.ts";

/** Runs the tests of a TypeScript file one after the other, each on an empty index. */
export async function runModule(bench: ScriptBench, root: string, file: string): Promise<CaseResult[]> {
  const path = join(root, file);
  const told = (error: unknown): string => `${file}:${lineOf(error, path)}: ${explain(error)}`;
  let tests;
  try {
    tests = await collect(() => importFile(path));
  } catch (error) {
    return brokenFile(told(error));
  }
  if (tests.length === 0) return brokenFile("it has no test");
  const results: CaseResult[] = [];
  for (const { name, body } of tests) {
    await bench.reset();
    try {
      await body(bench);
      results.push({ name, ok: true });
    } catch (error) {
      results.push({ name, ok: false, error: told(error) });
    }
  }
  return results;
}

/** Where the file was when it failed. */
function lineOf(error: unknown, path: string): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  for (const line of stack.split("\n")) {
    const [, at] = line.includes(path) ? (/:(\d+):\d+\)?$/.exec(line) ?? []) : [];
    if (at !== undefined) return at;
  }
  return "?";
}
