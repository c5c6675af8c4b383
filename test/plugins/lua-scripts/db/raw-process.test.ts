import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { prepareRaw } from "../../../../plugins/lua-scripts/api/db-raw-statements.ts";
import { defaultLimits } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { createRawClient } from "../../../../plugins/lua-scripts/worker/raw-client.ts";

const bun = join(dirname(createRequire(import.meta.url).resolve("bun/package.json")), "..", ".bin", "bun");
const script = fileURLToPath(new URL("./_raw-process.ts", import.meta.url));

describe.each([
  ["Node", process.execPath],
  ["Bun", bun],
])("the process of db.raw for SQLite in %s", (_name, program) => {
  test.each([
    ["is killed", "SIGKILL"],
    ["exits", "SIGTERM"],
    ["closes its scripts", "SIGUSR2"],
  ] as const)("works, and ends when the server %s", { timeout: 30_000 }, async (_how, signal) => {
    const { server, line } = await start(program);
    expect(JSON.parse(line)).toEqual(['[{"n":9007199254740993,"t":"x"}]', "error", "1", "1"]);
    const [pid = 0, ...others] = await childrenOf(server.pid ?? 0);
    expect(others).toEqual([]);
    onTestFinished(() => void (existsSync(`/proc/${pid}`) && process.kill(pid, "SIGKILL")));
    // It gets nothing of the environment that it does not need.
    if (existsSync(`/proc/${pid}/environ`))
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain("SESSION_SECRET");
    server.kill(signal);
    await once(server, "exit");
    expect(server.exitCode).toBe(signal === "SIGKILL" ? null : 0);
    await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false);
  });
});

test("the process of db.raw ends with its script thread", { timeout: 30_000 }, async () => {
  const { server } = await start(process.execPath);
  const [pid = 0] = await childrenOf(server.pid ?? 0);
  server.kill("SIGHUP");
  await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false);
  expect(server.exitCode).toBeNull();
});

test("the process of db.raw ends when nobody asks it, and another begins", { timeout: 30_000 }, async () => {
  const entry = new URL("../../../../plugins/lua-scripts/worker/raw-process.ts", import.meta.url).href;
  const client = createRawClient(":memory:", entry, 50);
  const batch = prepareRaw("SELECT 1 AS n", "sqlite", false);
  for (let time = 0; time < 2; time++) {
    const { rawRows, rawBytes, rawMilliseconds } = defaultLimits;
    const answer = await client.run(batch, [], { rawRows, rawBytes, rawMilliseconds });
    expect(answer).toMatchObject({ json: '[{"n":1}]' });
    await expect.poll(runningChildren, { timeout: 10_000 }).toEqual([]);
  }
  client.close();
});

test("the process of db.raw ends when its statement takes too much memory, and another begins", async () => {
  const entry = new URL("../../../../plugins/lua-scripts/worker/raw-process.ts", import.meta.url).href;
  const client = createRawClient(":memory:", entry);
  onTestFinished(() => client.close());
  const { rawRows, rawBytes } = defaultLimits;
  const ask = (sql: string): Promise<unknown> =>
    client.run(prepareRaw(sql, "sqlite", false), [], { rawRows, rawBytes, rawMilliseconds: 60_000 });
  const sizes = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9)";
  expect(
    await ask(`${sizes} SELECT count(*) FROM (SELECT DISTINCT hex(randomblob(90000000)) FROM t)`),
  ).toMatchObject({ error: "it took more than 512 MiB of memory" });
  expect(await ask("SELECT 1 AS n")).toMatchObject({ json: '[{"n":1}]' });
  // What a call has left in the process does not count against the next ones.
  for (let time = 0; time < 4; time++)
    expect(
      await ask("SELECT length(hex(randomblob(70000000))) AS n, hex(randomblob(7000000)) AS t"),
    ).toHaveProperty("json");
  expect(await ask("SELECT 1 AS n")).toMatchObject({ json: '[{"n":1}]' });
});

async function runningChildren(): Promise<unknown[]> {
  const children = (await processes()).filter(({ parent }) => parent === process.pid);
  return children.filter(({ state, name }) => !state.startsWith("Z") && name !== "ps");
}

async function start(program: string): Promise<{ server: ChildProcess; line: string }> {
  const server = spawn(program, [script], {
    env: { ...process.env, SESSION_SECRET: "x" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void server.kill("SIGKILL"));
  for await (const line of createInterface(server.stdout)) return { server, line };
  throw new Error("the server ended");
}

async function childrenOf(parent: number): Promise<number[]> {
  return (await processes()).filter((each) => each.parent === parent).map(({ pid }) => pid);
}

/** One that has ended may still be listed, where nobody asks how. */
async function isRunning(pid: number): Promise<boolean> {
  return (await processes()).some((each) => each.pid === pid && !each.state.startsWith("Z"));
}

interface Listed {
  pid: number;
  parent: number;
  state: string;
  name: string;
}

async function processes(): Promise<Listed[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid=,stat=,comm="]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => {
      const [pid, parent, state = "", name = ""] = line.trim().split(/\s+/);
      return { pid: Number(pid), parent: Number(parent), state, name };
    });
}
