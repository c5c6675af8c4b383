import { availableParallelism } from "node:os";
import type { DatabaseSource } from "../../../core/db/database.ts";
import type { Logger } from "../../../core/log.ts";
import type { ToWorker } from "../worker/protocol.ts";
import { validationLimits } from "../validate.ts";
import type { Limits, ScriptOutcome, Validation } from "./engine.ts";
import { createSeat, type Seat, type Task } from "./seat.ts";
import { limitsFor, toEngineRun, type ScriptRun } from "./script-run.ts";

export interface PoolOptions {
  /** Threads. @default one less than the cores, between 2 and 4 */
  workers?: number;
  database: DatabaseSource;
  limits?: Partial<Limits>;
  log: Logger;
  /** Runs that may wait for a thread. @default 1000 */
  maxWaiting?: number;
  /** What a run may exceed its time by before its thread is ended. @default 1000 */
  graceMs?: number;
}

/** Threads that run scripts. The main thread only hands out texts and watches the clock. */
export interface Pool {
  /** Rejects when the run could not be made (queue full, pool closed, signal aborted), never because of the script. */
  run(job: ScriptRun, options?: { signal?: AbortSignal }): Promise<ScriptOutcome>;
  validate(body: string): Promise<Validation>;
  close(): Promise<void>;
}

/** More than one, so that the thread is busy while the next message is under way; few, so that little waits behind a slow run. */
const maxPerWorker = 8;
const tickMs = 50;
const maxAttempts = 3;

export function createPool(options: PoolOptions): Pool {
  const { log, maxWaiting = 1000, graceMs = 1000 } = options;
  const size = options.workers ?? defaultWorkers();
  const seats = new Set<Seat>();
  const queue: Task[] = [];
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  const dispatch = (): void => {
    while (queue.length > 0) {
      const seat = pick();
      if (!seat) break;
      const task = queue.shift();
      if (!task || task.isSettled) continue;
      seat.assign(task);
    }
    timer ??= setInterval(watch, tickMs);
  };

  const pick = (): Seat | undefined => {
    let best: Seat | undefined;
    for (const seat of seats) {
      if (seat.load >= maxPerWorker || (seat.load > 0 && seat.isSlow())) continue;
      if (!best || seat.load < best.load) best = seat;
    }
    return best && (best.load === 0 || seats.size >= size) ? best : seats.size < size ? open() : best;
  };

  const open = (): Seat => {
    const seat: Seat = createSeat(options.database, {
      done: dispatch,
      ended(unfinished, culprit, reason) {
        seats.delete(seat);
        log.warn(`a script thread was replaced: ${reason}`, { trigger: culprit?.name });
        for (const task of unfinished) task.attempts++;
        const again = unfinished.filter((task) => task.attempts < maxAttempts && !isClosed);
        for (const task of unfinished)
          if (!again.includes(task)) task.fail(new Error(`[lua-scripts] ${reason}`));
        queue.unshift(...again);
        dispatch();
      },
    });
    seats.add(seat);
    return seat;
  };

  const watch = (): void => {
    for (const seat of seats) seat.watch(graceMs);
    // What waits behind a slow run goes to whoever is free.
    for (const seat of seats) if (seat.isSlow() && hasRoomBeside(seat)) queue.unshift(...seat.takeBack());
    if (queue.length > 0) dispatch();
    else if ([...seats].every((seat) => seat.load === 0)) {
      clearInterval(timer);
      timer = undefined;
    }
  };

  const hasRoomBeside = (slow: Seat): boolean =>
    seats.size < size || [...seats].some((seat) => seat !== slow && seat.load === 0);

  const submit = <T>(
    name: string | undefined,
    message: (id: number) => ToWorker,
    limits: Limits,
    signal?: AbortSignal,
  ): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (isClosed) return reject(new Error("[lua-scripts] the script pool is closed"));
      if (signal?.aborted) return reject(signal.reason as Error);
      if (queue.length >= maxWaiting) return reject(new Error("[lua-scripts] too many scripts are waiting"));
      const task: Task = {
        name,
        message,
        limits,
        attempts: 0,
        isSettled: false,
        succeed(value) {
          settle();
          resolve(value as T); // the worker answers each kind of message with its own kind of result
        },
        fail(error) {
          settle();
          reject(error);
        },
      };
      const abort = (): void => task.fail(signal?.reason as Error);
      const settle = (): void => {
        task.isSettled = true;
        signal?.removeEventListener("abort", abort);
      };
      signal?.addEventListener("abort", abort, { once: true });
      queue.push(task);
      dispatch();
    });

  return {
    run(job, { signal } = {}) {
      const run = toEngineRun(job, limitsFor(job.kind, options.limits ?? {}));
      return submit(run.chunkName, (id) => ({ kind: "run", id, run }), run.limits, signal);
    },
    validate(body) {
      const limits = validationLimits;
      return submit(undefined, (id) => ({ kind: "validate", id, body, limits }), limits);
    },
    async close() {
      isClosed = true;
      clearInterval(timer);
      for (const task of queue.splice(0)) task.fail(new Error("[lua-scripts] the script pool is closed"));
      await Promise.all([...seats].map((seat) => seat.close()));
      seats.clear();
    },
  };
}

/** Two even on small machines: a script in a loop would otherwise hold up every other until its limit. */
function defaultWorkers(): number {
  return Math.max(2, Math.min(4, availableParallelism() - 1));
}
