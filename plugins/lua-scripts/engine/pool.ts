import { availableParallelism } from "node:os";
import type { DatabaseSource } from "../../../core/db/database.ts";
import type { Logger } from "../../../core/log.ts";
import type { EngineName, ToWorker } from "../worker/protocol.ts";
import { validationLimits } from "../validate.ts";
import type { Limits, ScriptOutcome, SourceKind, Validation } from "./engine.ts";
import type { HostFunctions } from "./host.ts";
import { createLine } from "./line.ts";
import { createSeat, type Seat, type Task } from "./seat.ts";
import { limitsFor, toEngineRun, type ScriptRun } from "./script-run.ts";

export interface PoolOptions {
  /** Threads. @default one less than the cores, between 2 and 4 */
  workers?: number;
  /** @default "lua54" */
  engine?: EngineName;
  database: DatabaseSource;
  limits?: Partial<Limits>;
  log: Logger;
  /** Runs that may wait for a thread. @default 1000 */
  maxWaiting?: number;
  /** Gives each run a thread of its own while there is one: for runs that take as long as they like. @default false */
  isSpread?: boolean;
  /** What a run may exceed its time by before its thread is ended. @default 1000 */
  graceMs?: number;
}

export interface RunOptions {
  /** Gives the run up: it ends, and so do its calls to the host. */
  signal?: AbortSignal;
  /** What the script may ask of the main thread. */
  host?: HostFunctions;
  /** True for a run that another run waits for. */
  isNested?: boolean;
}

/** Threads that run scripts. The main thread only hands out texts and watches the clock. */
export interface Pool {
  /** Rejects when the run could not be made (queue full, pool closed, signal aborted), never because of the script. */
  run(job: ScriptRun, options?: RunOptions): Promise<ScriptOutcome>;
  validate(body: string, source?: SourceKind): Promise<Validation>;
  close(): Promise<void>;
}

/** More than one, so that the thread is busy while the next message is under way; few, so that little waits behind a slow run. */
const maxPerWorker = 8;
/** Runs of one thread, those included that wait for the host; each may hold as much memory as its limit lets it. */
const maxHeld = 64;
/** Nested runs need room beside those that wait for them. */
const maxHeldNested = 4 * maxHeld;
const tickMs = 50;
/** The memory of a thread never shrinks: above this it gets no more runs, and ends with the last it has. */
const maxMebibytes = 128;
const maxAttempts = 3;

interface SubmitOptions extends RunOptions {
  isRepeatable?: boolean;
  isArrival?: boolean;
}

export function createPool(options: PoolOptions): Pool {
  const { log, maxWaiting = 1000, graceMs = 1000, isSpread = false } = options;
  const size = options.workers ?? defaultWorkers();
  const seats = new Set<Seat>();
  /** Too large; their runs go on. Few, or runs that wait for long would gather any number of them. */
  const leaving = new Set<Seat>();
  const ending = new Set<Promise<void>>();
  const line = createLine();
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  const dispatch = (): void => {
    for (let task = line.first(); task; task = line.first()) {
      const seat = pick(task.isNested);
      if (!seat) break;
      line.shift();
      seat.assign(task);
    }
    timer ??= setInterval(watch, tickMs);
  };

  const pick = (isNested: boolean): Seat | undefined => {
    let best: Seat | undefined;
    const occupied = (seat: Seat): number => (isSpread ? seat.held : seat.load);
    for (const seat of seats) {
      if (seat.held >= (isNested ? maxHeldNested : maxHeld)) continue;
      if (seat.load >= maxPerWorker || (seat.load > 0 && seat.isSlow())) continue;
      if (!best || occupied(seat) < occupied(best)) best = seat;
    }
    return best && (occupied(best) === 0 || seats.size >= size) ? best : seats.size < size ? open() : best;
  };

  const open = (): Seat => {
    const seat: Seat = createSeat({ database: options.database, engine: options.engine ?? "lua54" }, log, {
      done() {
        retire(seat);
        dispatch();
      },
      ended(unfinished, culprit, reason) {
        seats.delete(seat);
        leaving.delete(seat);
        log.warn(`a script thread was replaced: ${reason}`, { trigger: culprit?.name });
        // Where nobody knows what ended the thread, it may have been any of them.
        if (!culprit) for (const task of unfinished) task.attempts++;
        const again = unfinished.filter(
          (task) => task.attempts < maxAttempts && !isClosed && (task.isRepeatable || !task.hasCalled),
        );
        for (const task of unfinished)
          if (!again.includes(task)) task.fail(new Error(`[lua-scripts] ${reason}`));
        line.putBack(again);
        dispatch();
      },
    });
    seats.add(seat);
    return seat;
  };

  const retire = (seat: Seat): void => {
    const isLarge = seats.has(seat) && seat.mebibytes > maxMebibytes && leaving.size < size;
    if (isLarge && seats.delete(seat)) leaving.add(seat);
    if (seat.held > 0 || !leaving.delete(seat)) return;
    const closed: Promise<void> = seat.close().finally(() => ending.delete(closed));
    ending.add(closed);
  };

  const watch = (): void => {
    for (const seat of [...seats, ...leaving]) seat.watch(graceMs);
    // What waits behind a slow run goes to whoever is free.
    for (const seat of seats) if (seat.isSlow() && hasRoomBeside(seat)) line.putBack(seat.takeBack());
    if (!line.isEmpty()) dispatch();
    else if ([...seats, ...leaving].every((seat) => seat.held === 0)) {
      clearInterval(timer);
      timer = undefined;
    }
  };

  const isFull = (): boolean => seats.size >= size && [...seats].every((seat) => seat.held >= maxHeldNested);

  const hasRoomBeside = (slow: Seat): boolean =>
    seats.size < size || [...seats].some((seat) => seat !== slow && seat.load === 0);

  const submit = <T>(
    name: string | undefined,
    message: (id: number) => ToWorker,
    limits: Limits,
    { signal, host, isNested = false, isRepeatable = true, isArrival = false }: SubmitOptions = {},
  ): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (isClosed) return reject(new Error("[lua-scripts] the script pool is closed"));
      if (signal?.aborted) return reject(signal.reason as Error);
      // Arrivals are as many as the record pipeline lets through; a flood of queries must not turn them away.
      const isTurnedAway = isNested ? isFull() : !isArrival && line.requests() >= maxWaiting;
      if (isTurnedAway) return reject(new Error("[lua-scripts] too many scripts are waiting"));
      const task: Task = {
        host,
        isNested,
        isArrival,
        isRepeatable,
        hasCalled: false,
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
      const abort = (): void => {
        task.abandon?.();
        task.fail(signal?.reason as Error);
      };
      const settle = (): void => {
        task.isSettled = true;
        signal?.removeEventListener("abort", abort);
      };
      signal?.addEventListener("abort", abort, { once: true });
      line.add(task);
      dispatch();
    });

  return {
    async run(job, given = {}) {
      const run = toEngineRun(job, limitsFor(job.kind, options.limits ?? {}));
      const isRepeatable = job.kind !== "procedure" && job.kind !== "job";
      const isArrival = job.kind === "record" || job.kind === "label";
      const how = { ...given, isRepeatable, isArrival };
      const message = (id: number): ToWorker => ({ kind: "run", id, run });
      const outcome = await submit<ScriptOutcome>(run.chunkName, message, run.limits, how);
      return { ...outcome, limits: run.limits };
    },
    validate(body, source = "script") {
      const limits = validationLimits;
      return submit(undefined, (id) => ({ kind: "validate", id, body, limits, source }), limits);
    },
    async close() {
      isClosed = true;
      clearInterval(timer);
      for (const task of line.clear()) task.fail(new Error("[lua-scripts] the script pool is closed"));
      await Promise.all([...[...seats, ...leaving].map((seat) => seat.close()), ...ending]);
      seats.clear();
      leaving.clear();
    },
  };
}

/** Two even on small machines: a script in a loop would otherwise hold up every other until its limit. */
function defaultWorkers(): number {
  return Math.max(2, Math.min(4, availableParallelism() - 1));
}
