import { randomUUID } from "node:crypto";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import { announce } from "./announce.ts";
import type { Queue } from "./queue.ts";
import type { Runner } from "./runner.ts";

export interface Workers {
  start(): void;
  /** There may be something to do. */
  wake(): void;
  /** Takes no job any more and gives back what runs. */
  close(): Promise<void>;
}

export interface WorkersParts {
  app: Pick<PluginApp, "events" | "log">;
  queue: Queue;
  runner: Runner;
  count: number;
  pollMs: number;
}

/** Handlers that do not hear that the server stops are left behind after this; their lease runs out. */
const closeMs = 5000;

/** Claims jobs for as many as may run at once, when one is created here and every few seconds. */
export function createWorkers({ app, queue, runner, count, pollMs }: WorkersParts): Workers {
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let filling: Promise<void> | undefined;
  let again = false;

  async function fill(): Promise<void> {
    do {
      again = false;
      while (running.size < count && !stopping.signal.aborted) {
        const token = randomUUID();
        const row = await queue.claim(token);
        if (!row) break;
        const work = runner.run(row, token, stopping.signal).finally(() => {
          running.delete(work);
          wake();
        });
        running.add(work);
      }
    } while (again);
  }

  function wake(): void {
    if (timer === undefined || stopping.signal.aborted) return;
    again = true;
    filling ??= fill()
      .catch((error) => app.log.error("jobs could not be claimed", { error: explain(error) }))
      .finally(() => (filling = undefined));
  }

  async function recover(): Promise<void> {
    try {
      for (const row of await queue.recover()) {
        app.log.warn("a job was interrupted", { job: row.id, type: row.job_type, status: row.status });
        if (row.status !== "pending") announce(app.events, row.status, row);
      }
    } catch (error) {
      app.log.error("interrupted jobs could not be recovered", { error: explain(error) });
    }
    wake();
  }

  return {
    start() {
      timer = setInterval(() => void recover(), pollMs);
      timer.unref();
      void recover();
    },
    wake,
    async close() {
      stopping.abort(new Error("the server is stopping"));
      clearInterval(timer);
      await filling;
      let patience: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => (patience = setTimeout(resolve, closeMs)));
      await Promise.race([Promise.all(running), enough]);
      clearTimeout(patience);
    },
  };
}
