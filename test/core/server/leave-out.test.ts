import { rollup, type Plugin } from "rollup";
import { expect, test } from "vitest";
import { allowMissingPackages } from "../../../core/server/leave-out.ts";

const entry = "export const load = () => import('@atproto/tap');";

/** Bundles the entry where the package is, or is not, installed. */
async function bundle(installed: boolean): Promise<{ code: string; warnings: string[] }> {
  const files: Plugin = {
    name: "files",
    resolveId: (source) => (source === "entry" ? source : installed ? `/node_modules/${source}` : null),
    load: (id) => (id === "entry" ? entry : "export const tap = 'installed';"),
  };
  const warnings: string[] = [];
  const made = await rollup({
    input: "entry",
    plugins: [allowMissingPackages(), files],
    onwarn: ({ message }) => void warnings.push(message),
  });
  const { output } = await made.generate({ format: "es", inlineDynamicImports: true });
  return { code: output[0].code, warnings };
}

test("an optional package that is installed goes into the output", async () => {
  const { code, warnings } = await bundle(true);
  expect(code).toContain("installed");
  expect(warnings).toEqual([]);
});

test("one that is not is looked for when it is needed, without a warning", async () => {
  const { code, warnings } = await bundle(false);
  expect(code).toMatch(/import\(['"]@atproto\/tap['"]\)/);
  expect(warnings).toEqual([]);
});
