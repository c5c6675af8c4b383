import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import { announce } from "./announce.ts";
import { toJsonText, type JobHandler, type JobRow, type RunningJob } from "./job.ts";
import { createJournal } from "./journal.ts";
import { holdLease, type Lease } from "./lease.ts";
import type { Queue } from "./queue.ts";

export interface RunnerParts {
  app: Pick<PluginApp, "clock" | "db" | "events" | "log">;
  queue: Queue;
  /** @throws Error when nobody handles the type */
  handlerFor(type: string): JobHandler;
  leaseMs: number;
  cancelGraceMs: number;
}

export interface Runner {
  /** Runs a claimed job until its end is stored. `stopping` gives it back unfinished. */
  run(row: JobRow, token: string, stopping: AbortSignal): Promise<void>;
  /** A job of this process should look at its status at once. */
  nudge(id: string): void;
}

const maxProgressLength = 1024 * 1024;
const maxWaitSeconds = 3600;

export function createRunner({ app, queue, handlerFor, leaseMs, cancelGraceMs }: RunnerParts): Runner {
  const { events, log } = app;
  const leases = new Map<string, Lease>();

  return {
    nudge: (id) => leases.get(id)?.check(),
    async run(row, token, stopping) {
      const { id } = row;
      const lease = holdLease({ queue, log, id, token, leaseMs, cancelGraceMs });
      leases.set(id, lease);
      try {
        announce(events, "started", row);
        const store = await ended(row, token, lease, stopping);
        const settled = store && (await persistently(store));
        if (settled && settled.status !== "pending") announce(events, settled.status, settled);
      } catch (error) {
        log.error("the end of a job could not be stored; it runs again once its lease is over", {
          job: id,
          error: explain(error),
        });
      } finally {
        lease.end();
        leases.delete(id);
      }
    },
  };

  /** Runs the handler; what it came to is to be stored by what this returns. */
  async function ended(
    row: JobRow,
    token: string,
    lease: Lease,
    stopping: AbortSignal,
  ): Promise<(() => Promise<JobRow | undefined>) | undefined> {
    const { id } = row;
    const signal = AbortSignal.any([stopping, lease.lost, lease.overdue]);
    try {
      const result = await handlerFor(row.job_type)(toRunning(row, token, lease, signal));
      return () => queue.settle(id, token, toJsonText(result) ?? "null");
    } catch (error) {
      if (lease.lost.aborted) {
        log.warn("a job was given up", { job: id, reason: explain(lease.lost.reason) });
        return undefined;
      }
      if (stopping.aborted) return () => queue.release(id, token);
      if (lease.overdue.aborted) return () => queue.settle(id, token, "null");
      log.warn("a job failed", { job: id, type: row.job_type, error: explain(error) });
      return () => queue.fail(id, token, explain(error) || "unknown error");
    }
  }

  function toRunning(row: JobRow, token: string, lease: Lease, signal: AbortSignal): RunningJob {
    const { id } = row;
    const journal = createJournal(app, id);
    return {
      id,
      type: row.job_type,
      input: JSON.parse(row.input) as unknown,
      inputText: row.input,
      createdBy: row.created_by,
      auth: row.inherit_auth === 1,
      signal,
      async progress(value) {
        signal.throwIfAborted();
        const text = toJsonText(value) ?? "null";
        if (text.length > maxProgressLength)
          throw new Error(`progress is ${text.length} characters long, more than ${maxProgressLength}`);
        if (!(await queue.progress(id, token, text))) lease.check();
      },
      async shouldStop() {
        signal.throwIfAborted();
        return lease.stopRequested.aborted || (await queue.status(id, token)) !== "running";
      },
      async wait(seconds) {
        const ms = Math.min(Math.max(Number.isNaN(seconds) ? 0 : seconds, 0), maxWaitSeconds) * 1000;
        const until = AbortSignal.any([signal, lease.stopRequested]);
        await sleep(ms, undefined, { signal: until, ref: false }).catch(() => {}); // the lines below tell why it ended
        signal.throwIfAborted();
      },
      async log(message) {
        signal.throwIfAborted();
        await journal.write("info", message);
      },
      async warn(message) {
        signal.throwIfAborted();
        await journal.write("warn", message);
      },
    };
  }
}

/** The work of an hour must not be lost to a database that is away for a moment. */
async function persistently<T>(store: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++)
    try {
      return await store();
    } catch (error) {
      if (attempt >= 4) throw error;
      await sleep(200 * 2 ** attempt, undefined, { ref: false });
    }
}
