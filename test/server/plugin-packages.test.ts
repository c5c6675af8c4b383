import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createPluginPackages } from "../../core/server/plugin-packages.ts";

let root: string;
const manifests: Record<string, object> = {
  "happyview-plugin-likes": { peerDependencies: { happyview: "^0.1.0" } },
  "@example/labels": { dependencies: { happyview: "^0.1.0" } },
  "happyview-plugin-likes/node_modules/left": { dependencies: {} },
  ordinary: { devDependencies: { happyview: "^0.1.0" } },
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "happyview-packages-"));
  for (const [name, manifest] of Object.entries(manifests)) {
    const folder = join(root, "node_modules", name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

test.each([
  ["node_modules/happyview-plugin-likes/index.js", true],
  ["node_modules/@example/labels/dist/index.js", true],
  ["node_modules/happyview-plugin-likes/node_modules/left/index.js", false],
  ["node_modules/ordinary/index.js", false],
  ["node_modules/missing/index.js", false],
  ["plugins/own.ts", false],
])("%s is bundled as a plugin's: %s", (path, expected) => {
  expect(createPluginPackages()(join(root, path))).toBe(expected);
});

test("a bare name says nothing yet", () => {
  expect(createPluginPackages()("happyview-plugin-likes")).toBe(false);
});
