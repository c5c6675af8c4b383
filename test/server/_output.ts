import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { build } from "../../core/server/build.ts";
import { silent } from "../setup/log.ts";

export const repository: string = fileURLToPath(new URL("../..", import.meta.url));

export type Runtime = "node" | "bun";

export const runtimes: readonly Runtime[] = ["node", "bun"];

const programs: Record<Runtime, string> = {
  node: process.execPath,
  bun: join(repository, "node_modules", ".bin", "bun"),
};

export interface Output extends AsyncDisposable {
  /** A folder from which nothing of this repository can be resolved. */
  folder: string;
}

/** Builds a project of test/fixture into a folder outside of the repository. */
export async function buildFixture(name: string, preset: "node" | "bun" | "docker"): Promise<Output> {
  const folder = await mkdtemp(join(tmpdir(), `happyview-built-${preset}-`));
  await build({ root: join(repository, "test", "fixture", name), preset, outDir: folder, log: silent });
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

export interface Ended {
  code: number | null;
  /** What it logged, one JSON object a line. */
  lines: string[];
}

export interface RunningOutput {
  url: string;
  signal(name: "SIGTERM" | "SIGINT"): void;
  ended: Promise<Ended>;
}

interface Spawned {
  child: ChildProcessByStdio<null, null, Readable>;
  lines: string[];
  ended: Promise<Ended>;
}

/** Starts a built server on a free port. */
export async function startOutput(
  runtime: Runtime,
  { folder }: Output,
  env: Record<string, string> = {},
): Promise<RunningOutput> {
  const { child, lines, ended } = spawnOutput(runtime, folder, env);
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      const found = /listening on (http:\/\/[^"\s]+)/.exec(line)?.[1];
      if (found) resolve(found);
    });
    ended.then(
      ({ code }) => reject(new Error(`${runtime} ended with ${code}:\n${lines.join("\n")}`)),
      reject,
    );
  });
  return { url, ended, signal: (name) => void child.kill(name) };
}

/** Runs a built server that is expected not to start. */
export async function runOutput(
  runtime: Runtime,
  { folder }: Output,
  env: Record<string, string>,
): Promise<Ended> {
  const { child, lines, ended } = spawnOutput(runtime, folder, env);
  createInterface({ input: child.stderr }).on("line", (line) => void lines.push(line));
  return ended;
}

function spawnOutput(runtime: Runtime, folder: string, env: Record<string, string>): Spawned {
  const child = spawn(programs[runtime], [join(folder, "server", "index.mjs")], {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOST: "127.0.0.1", PORT: "0", DATABASE_URL: ":memory:", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const lines: string[] = [];
  const ended = once(child, "close").then(([code]): Ended => ({ code: code as number | null, lines }));
  return { child, lines, ended };
}
