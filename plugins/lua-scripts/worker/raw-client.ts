import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { explain } from "../../../core/errors.ts";
import type { RawRun } from "../api/db-raw.ts";
import type { RawAnswer, RawLimits } from "../api/db-raw-rows.ts";
import type { RawCall } from "./raw-process.ts";

/** A process costs memory: one that nobody has asked for this long ends. */
const defaultIdleMs = 30_000;

/** What the process holds with all that its statements make SQLite hold. */
const maxMebibytes = 512;

/** What the process may know of the environment: how to load its library, and what SQLite itself reads. */
const passedOn = new Set([
  "TZ",
  "TMPDIR",
  "SQLITE_TMPDIR",
  "LD_LIBRARY_PATH",
  "DYLD_LIBRARY_PATH",
  "SystemRoot",
]);

/** Runs `db.raw` in a process that starts with the first call, one call after the other. */
export function createRawClient(
  file: string,
  entry: string,
  idleMs: number = defaultIdleMs,
): { run: RawRun; close(): void } {
  let child: ChildProcess | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let idle: NodeJS.Timeout | undefined;
  let isClosed = false;

  const stop = (): void => {
    clearTimeout(idle);
    // It answers nobody, so that there is nothing it could lose: a transaction that is open rolls back.
    child?.kill("SIGKILL");
    child = undefined;
  };

  const start = (): ChildProcess => {
    const started = fork(fileURLToPath(entry), [file, String(maxMebibytes * 2 ** 20)], {
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => passedOn.has(name))),
      execArgv: [],
      serialization: "advanced",
      // Nothing is written to its input: it ends when that does.
      stdio: ["pipe", "ignore", "inherit", "ipc"],
    });
    const gone = (): void => {
      started.kill("SIGKILL");
      if (child === started) child = undefined;
    };
    started.on("exit", gone).on("error", gone);
    return started;
  };

  const ask = (call: RawCall): Promise<RawAnswer> =>
    new Promise((resolve) => {
      if (isClosed) return resolve(failed("the run was given up", 0));
      clearTimeout(idle);
      const begun = performance.now();
      const asked = (child ??= start());
      const settle = (answer: RawAnswer): void => {
        asked.off("message", settle).off("exit", onExit).off("error", onError);
        if (child) idle = setTimeout(stop, idleMs).unref();
        resolve(answer);
      };
      const onExit = (code: number | null, signal: string | null): void =>
        settle(endOf(signal ?? `code ${code}`, performance.now() - begun, call.limits));
      const onError = ({ message }: Error): void => settle(failed(message, performance.now() - begun));
      asked.on("message", settle).on("exit", onExit).on("error", onError);
      asked.send(call);
    });

  return {
    run(batch, params, limits) {
      const answer = last
        .then(() => ask({ batch, params, limits }))
        .catch((error: unknown) => failed(explain(error), 0));
      last = answer;
      return answer;
    },
    close() {
      isClosed = true;
      stop();
    },
  };
}

/** The process kills itself when the time is over, or when it has grown too large. */
function endOf(reason: string, ms: number, { rawMilliseconds }: RawLimits): RawAnswer {
  if (reason !== "SIGKILL") return failed(`its process ended: ${reason}`, ms);
  if (ms < rawMilliseconds) return failed(`it took more than ${maxMebibytes} MiB of memory`, ms);
  return { used: { rawRows: 0, rawBytes: 0, rawMilliseconds: ms }, passed: "rawMilliseconds" };
}

function failed(error: string, ms: number): RawAnswer {
  return { used: { rawRows: 0, rawBytes: 0, rawMilliseconds: ms }, error };
}
