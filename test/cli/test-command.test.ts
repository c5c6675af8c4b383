import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";

const repository = fileURLToPath(new URL("../..", import.meta.url));

async function project(test: string): Promise<string> {
  // Inside the repository, so that the config's imports resolve.
  const root = await mkdtemp(join(repository, ".data-dev-test-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const name of ["happyview.config.ts", "lexicons", "scripts"])
    await cp(join(repository, name), join(root, name), { recursive: true });
  await mkdir(join(root, "test/scripts"), { recursive: true });
  await writeFile(join(root, "test/scripts/one.test.lua"), test);
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
