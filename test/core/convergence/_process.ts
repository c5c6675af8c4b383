import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("_server.ts", import.meta.url));

export interface Server {
  /** Waits for a condition; throws when the process ends before. */
  until(check: () => Promise<boolean>): Promise<void>;
  /** Sends a signal; the exit code, null after SIGKILL. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

/** A server process on what `env` names; by default on a database and a Jetstream. */
export function startServer(env: Record<string, string>, program: string = script): Server {
  const process_: ChildProcess = spawn(process.execPath, ["--conditions=happyview-source", program], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(process_, "exit");
  let said = "";
  process_.stderr?.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-10_000)));
  const hasEnded = (): boolean => process_.exitCode !== null || process_.signalCode !== null;
  return {
    async until(check) {
      while (!(await check())) {
        if (hasEnded()) throw new Error(`the server ended by itself:\n${said}`);
        await sleep(2);
      }
    },
    async kill(signal) {
      if (!hasEnded()) process_.kill(signal);
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
}
