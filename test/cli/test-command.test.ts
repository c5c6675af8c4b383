import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { test as scriptTest } from "../../plugins/lua-scripts/testing/index.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));

async function project(test: string, name = "one.test.lua"): Promise<string> {
  // Inside the repository, so that the config's imports resolve.
  const root = await mkdtemp(join(repository, ".data-dev-test-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const name of ["happyview.config.ts", "lexicons", "scripts"])
    await cp(join(repository, name), join(root, name), { recursive: true });
  await mkdir(join(root, "test/scripts"), { recursive: true });
  await writeFile(join(root, "test/scripts", name), test);
  return root;
}

function run(root: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const main = join(repository, "core/cli/main.ts");
  const all = ["--conditions=happyview-source", main, "test", "--root", root, ...args];
  return spawnSync(process.execPath, all, { encoding: "utf8" });
}

it("runs script tests, says which failed at which line, and exits with 1", async () => {
  const root = await project(`test("good", function() expect(1 + 1, 2) end)
test("bad", function()
  expect({ a = 1 }, { a = 2 })
end)
test("starts with nothing", function() expect(#query("xyz.statusphere.listStatuses").records, 0) end)`);
  const { status, stdout } = run(root, "--json");
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    failed: 1,
    results: [
      {
        file: "test/scripts/one.test.lua",
        cases: [
          { name: "good", ok: true },
          { name: "bad", ok: false, error: 'test/scripts/one.test.lua:3: expected {"a":2}, got {"a":1}' },
          { name: "starts with nothing", ok: true },
        ],
      },
    ],
  });
});

it("names the line of a test file that does not parse", async () => {
  const root = await project(`test("x", function()\n  return }\nend)`);
  const { status, stdout } = run(root);
  expect(status).toBe(1);
  expect(stdout).toContain("test/scripts/one.test.lua:2: ");
  expect(stdout).toContain("0 passed, 1 failed");
});

it("runs tests in TypeScript, each on an empty index, and says which failed at which line", async () => {
  const root = await project(
    `import assert from "node:assert/strict";
import { test } from "happyview/plugins/lua-scripts/testing";

const collection: string = "xyz.statusphere.status";
const record = { status: "👍", createdAt: "2026-01-01T00:00:00Z" };
test("a record passes its script", async ({ ingest, query }) => {
  const stored = await ingest({ collection, record });
  assert.equal(stored?.["status"], "👍");
  const { records } = await query<{ records: unknown[] }>("xyz.statusphere.listStatuses", { limit: 5 });
  assert.equal(records.length, 1);
});
test("starts with nothing, and what is deleted is gone", async ({ ingest, query }) => {
  assert.deepEqual(await query("xyz.statusphere.countByEmoji"), { counts: {} });
  await ingest({ collection, rkey: "a", record });
  assert.equal(await ingest({ action: "delete", collection, rkey: "a" }), null);
});
test("bad", async ({ query }) => {
  await query("xyz.statusphere.none");
});
`,
    "one.test.ts",
  );
  const { status, stdout } = run(root, "--json");
  expect(JSON.parse(stdout)).toEqual({
    failed: 1,
    results: [
      {
        file: "test/scripts/one.test.ts",
        cases: [
          { name: "a record passes its script", ok: true },
          { name: "starts with nothing, and what is deleted is gone", ok: true },
          {
            name: "bad",
            ok: false,
            error: expect.stringMatching(/^test\/scripts\/one\.test\.ts:18: xrpc query failed: /),
          },
        ],
      },
    ],
  });
  expect(status).toBe(1);
});

it("says what is wrong with a test file that does not load", async () => {
  const { status, stdout } = run(await project(`throw new Error("no");`, "one.test.ts"));
  expect(status).toBe(1);
  expect(stdout).toContain("test/scripts/one.test.ts:1: no");
});

it("a test outside of `happyview test` says how it is run", () => {
  expect(() => scriptTest("x", () => {})).toThrow('vitest run --exclude "test/scripts/**"');
});
