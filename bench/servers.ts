import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { freePort } from "../test/setup/port.ts";

export interface Server {
  url: string;
  /** Resident memory of the process, by Linux. */
  mebibytes(): number;
  stop(): Promise<void>;
}

/** Starts a program that listens on PORT and waits until it answers. */
export async function startServer(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  path = "/",
): Promise<Server> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, LOG_LEVEL: "error", ...env, HOST: "127.0.0.1", PORT: String(port) },
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const deadline = Date.now() + 20_000;
  while (!(await answers(url + path))) {
    if (Date.now() > deadline || child.exitCode !== null)
      throw new Error(`${args.join(" ")} does not answer at ${url}${path}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    mebibytes() {
      const pages = Number(readFileSync(`/proc/${child.pid}/statm`, "utf8").split(" ")[1]);
      return Math.round((pages * 4096) / 1024 / 1024);
    },
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    async (response) => (await response.arrayBuffer(), true),
    () => false,
  );
}
