import { expect, test } from "vitest";
import { readCorpus } from "./cases.ts";
import { differences } from "./differences.ts";
import { engineDocument } from "./document.ts";

const names = new Set(readCorpus().flatMap(({ cases }) => cases.map(({ file, name }) => `${file}: ${name}`)));

// `npx vitest run test/conformance/document.test.ts --update` writes it anew.
test("docs/lua-engines.md tells the known differences of fengari", async () => {
  await expect(engineDocument()).toMatchFileSnapshot("../../docs/lua-engines.md");
});

test("every known difference of the corpus is one of its cases", () => {
  const known = differences.flatMap(({ cases }) => cases).filter((name) => !name.startsWith("engines: "));
  expect(known.filter((name) => !names.has(name))).toEqual([]);
});
