import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { serve, type Served } from "../../../core/server/node.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import type { JobView } from "../../../plugins/backfill/job.ts";
import { adminKey } from "../../setup/app.ts";
import { databases, type DatabaseSubject, type TestDatabase } from "../../setup/databases.ts";
import { eventually, fill, openInstance, status, type Instance } from "./_bench.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const listRecords = "com.atproto.repo.listRecords";

let network: Network;
let database: TestDatabase;
let instance: Instance;
let served: Served;
let root: string;

beforeAll(async () => {
  const subject = databases()[0] as DatabaseSubject; // what the command says does not depend on it
  network = await createNetwork({ seed: 41 });
  for (const count of [150, 3]) await fill(await network.createAccount(), status, count);
  database = await subject.open();
  instance = await openInstance(subject, database, { network, backfill: { pageTimeoutMs: 60_000 } });
  served = await serve(instance.app, { host: "127.0.0.1", port: 0 });
  // Inside the repository, so that the config's imports resolve.
  root = await mkdtemp(join(repository, ".data-dev-test-backfill-"));
  const config = `import { defineConfig } from "happyview";
import { backfill } from "happyview/plugins/backfill";
export default defineConfig({ plugins: [backfill()] });`;
  await writeFile(join(root, "happyview.config.ts"), config);
});
afterAll(async () => {
  await served.close(0);
  await instance.stop();
  await database.drop();
  await network.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(() => network.faults.clear());

interface Command {
  said(): { stdout: string; stderr: string };
  interrupt(): void;
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function begin(args: readonly string[], env: Record<string, string> = {}): Command {
  const main = join(repository, "core/cli/main.ts");
  const child = spawn(
    process.execPath,
    ["--conditions=happyview-source", main, "backfill", ...args, "--root", root],
    {
      env: { PATH: process.env["PATH"], HAPPYVIEW_ADMIN_KEY: adminKey, PUBLIC_URL: served.url, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return {
    said: () => ({ stdout, stderr }),
    interrupt: () => void child.kill("SIGINT"),
    ended: once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr })),
  };
}

const run = (...args: string[]): Command["ended"] => begin(args).ended;

test("a job is started, watched to its end, and told of in lines", async () => {
  const { code, stdout, stderr } = await run("--collection", status);
  expect(stderr).toMatch(/^by listRecords: one collection of each repo/);
  expect(stderr).toContain("2 of 2 repos, 153 records");
  expect(stdout).toMatch(new RegExp(`^\\S+ {2}completed {2}${status}: 2 of 2 repos, 153 records\n$`));
  expect(code).toBe(0);
});

test("a job is told of as JSON, and nothing else comes with it", async () => {
  const did = network.accounts.map((account) => account.did).join(",");
  const { code, stdout } = await run(
    "start",
    "--collection",
    status,
    "--did",
    did,
    "--json",
    "--method",
    "getRepo",
  );
  expect(JSON.parse(stdout)).toMatchObject({
    status: "completed",
    complete: true,
    dids: expect.arrayContaining(network.accounts.map((account) => account.did)),
    plan: { method: "getRepo", why: "the job asks for it" },
    total_records: 153,
  });
  expect(code).toBe(0);
});

test("a job that does not get everything ends with 1, and is tried again by its id", async () => {
  network.faults.add({ method: listRecords, did: network.accounts[0]?.did ?? "", status: 400 });
  const failed = await run("--collection", status);
  expect(failed.stdout).toContain(
    "1 repos failed: 1 other; try them again: happyview backfill retry-failed ",
  );
  expect(failed.code).toBe(1);
  network.faults.clear();
  const [id = ""] = failed.stdout.split(" ");
  const again = await run("retry-failed", id, "--json");
  expect(JSON.parse(again.stdout)).toMatchObject({ id, complete: true, failed_repos: 0 });
  expect(again.code).toBe(0);
});

test("a job goes on when whoever watches it leaves, and can be watched again, paused, resumed and cancelled", async () => {
  const gate = Promise.withResolvers<void>();
  network.faults.add({ service: "pds", lie: (truth) => gate.promise.then(() => truth) });
  const watching = begin(["--collection", status]);
  await eventually(() => expect(watching.said().stderr).toMatch(/repos/));
  watching.interrupt();
  const { code, stdout, stderr } = await watching.ended;
  const [id = ""] = stdout.split(" ");
  expect(stdout).toContain(`${id}  running  ${status}`);
  expect(stderr).toContain(`the job goes on; watch it with: happyview backfill watch ${id}`);
  expect(code).toBe(0);
  expect(await instance.job(id)).toMatchObject({ status: "running" });

  const paused = await run("pause", id, "--json");
  expect((JSON.parse(paused.stdout) as JobView).status).toMatch(/^paus/);
  await instance.reaches(id, "paused");
  const resumed = await run("resume", id, "--detach", "--json");
  expect(JSON.parse(resumed.stdout)).toMatchObject({ id, status: "running" });
  const again = begin(["watch", id, "--json"]);
  await eventually(() => expect(again.said().stderr).toMatch(/repos/));
  gate.resolve();
  const ended = await again.ended;
  expect(JSON.parse(ended.stdout)).toMatchObject({ id, complete: true, total_records: 153 });

  const detached = await run("--collection", status, "--detach", "--json");
  const other = JSON.parse(detached.stdout) as JobView;
  expect(other.status).toMatch(/running|completed/);
  const cancelled = await run("cancel", other.id, "--json");
  expect(cancelled.stdout).toMatch(/cancel|job is not running/);
  const list = await run("list", "--json");
  expect((JSON.parse(list.stdout) as JobView[]).slice(0, 2).map((job) => job.id)).toEqual([other.id, id]);
});

test.each<[string, string[], Record<string, string>, string]>([
  ["an act that there is not", ["undo"], {}, "COMMAND_USAGE"],
  ["no job", ["pause"], {}, "COMMAND_USAGE"],
  ["a job that there is not", ["pause", "some"], {}, "SERVER_REFUSED"],
  ["another key", ["list"], { HAPPYVIEW_ADMIN_KEY: `hv_${"f".repeat(32)}` }, "SERVER_REFUSED"],
  ["a server that is not there", ["list", "--url", "http://127.0.0.1:1"], {}, "SERVER_UNREACHABLE"],
])("%s ends with 1 and says what to do", async (_, args, env, code) => {
  const answer = await begin([...args, "--json"], env).ended;
  expect(JSON.parse(answer.stdout)).toEqual({
    error: { code, message: expect.any(String), hint: expect.any(String) },
  });
  expect(answer.code).toBe(1);
});
