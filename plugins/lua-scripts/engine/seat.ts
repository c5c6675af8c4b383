import type { Logger } from "../../../core/log.ts";
import { signal, signalBytes, type FromWorker, type ToWorker, type WorkerSetup } from "../worker/protocol.ts";
import type { Limits, ScriptFailure, ScriptOutcome, Validation } from "./engine.ts";
import { compilationFailed } from "../validate.ts";
import { answerCall, type HostFunctions } from "./host.ts";
import { spawnWorker } from "./spawn.ts";

export interface Task {
  /** What the run may ask of this thread. */
  host: HostFunctions | undefined;
  /** A run that another run waits for: it must find room, or both would wait for ever. */
  isNested: boolean;
  /** A record or label on its way in, of which nobody lets more come than there is room for. */
  isArrival: boolean;
  /** False for a run whose effects must not happen twice: it does not begin again once it has called. */
  isRepeatable: boolean;
  /** It has called the host or `db.raw`. */
  hasCalled: boolean;
  /** The trigger; a validation has none. */
  name: string | undefined;
  message: (id: number) => ToWorker;
  limits: Limits;
  /** How often a worker ended while it held this task. */
  attempts: number;
  isSettled: boolean;
  /** Set by the seat that holds the task: tells the worker that nobody waits for it any more. */
  abandon?: (() => void) | undefined;
  succeed(value: unknown): void;
  fail(error: Error): void;
}

interface SeatEvents {
  /** A task is finished. */
  done(): void;
  /** The worker is gone; `unfinished` are innocent and may run elsewhere. */
  ended(unfinished: Task[], culprit: Task | undefined, reason: string): void;
}

/** One worker thread as the pool sees it. */
export interface Seat {
  /** Tasks that want the thread: those that wait for the host do not. */
  readonly load: number;
  /** All tasks, each with its memory. */
  readonly held: number;
  /** Memory of the thread that only its end gives back. */
  readonly mebibytes: number;
  assign(task: Task): void;
  /** True while one script has held the thread for long enough that others should not wait behind it. */
  isSlow(): boolean;
  /** Takes back the tasks the worker has not begun. */
  takeBack(): Task[];
  /** Ends the worker when its script is `graceMs` over its time, or was given up that long ago. */
  watch(graceMs: number): void;
  close(): Promise<void>;
}

const slowMs = 100;
const closeMs = 1000;
const maxId = 2 ** 30;

interface Held {
  task: Task;
  /** Calls without an answer yet. */
  calls: number;
  /** Made at the first call: most runs make none. */
  ended?: AbortController;
  abandonedAt?: number;
}

export function createSeat(
  { database, engine }: Pick<WorkerSetup, "database" | "engine">,
  log: Logger,
  events: SeatEvents,
): Seat {
  const buffer = new SharedArrayBuffer(signalBytes);
  const signals = new Int32Array(buffer);
  const tasks = new Map<number, Held>();
  const worker = spawnWorker({ database, engine, signals: buffer });
  let seen = { segment: 0, since: performance.now() };
  let lastId = 0;
  let isReady = false;
  let crash: Error | undefined;
  let isGone = false;
  let onIdle: (() => void) | undefined;

  /** What the task still asks of the host is stopped. */
  const take = (id: number): Task | undefined => {
    const held = tasks.get(id);
    tasks.delete(id);
    if (held) held.task.abandon = undefined;
    held?.ended?.abort(new Error("the run is over"));
    return held?.task;
  };

  const takeAll = (): Task[] =>
    [...tasks.keys()].flatMap((id) => take(id) ?? []).filter((task) => !task.isSettled);

  const finish = (id: number, settle: (task: Task) => void): void => {
    const task = take(id);
    if (!task) return;
    if (!task.isSettled) settle(task);
    events.done();
    if (tasks.size === 0) onIdle?.();
  };

  const runningId = (): number => Atomics.load(signals, signal.running);

  /** How long the present segment has been seen to run. */
  const segmentMs = (): number => {
    const segment = Atomics.load(signals, signal.segment);
    if (segment !== seen.segment) seen = { segment, since: performance.now() };
    return runningId() === 0 ? 0 : performance.now() - seen.since;
  };

  const end = (outcomeOfCulprit: ((task: Task) => void) | undefined, reason: string): void => {
    if (isGone) return;
    isGone = true;
    const id = runningId();
    const culprit = tasks.get(id)?.task;
    if (culprit && outcomeOfCulprit) {
      take(id);
      if (!culprit.isSettled) outcomeOfCulprit(culprit);
    }
    const unfinished = takeAll();
    onIdle?.();
    events.ended(unfinished, culprit, reason);
    void worker.terminate();
  };

  const call = async ({ id, call, ...asked }: Extract<FromWorker, { kind: "call" }>): Promise<void> => {
    const held = tasks.get(id);
    if (!held) return;
    const { task } = held;
    const ended = (held.ended ??= new AbortController());
    held.calls++;
    task.hasCalled = true;
    events.done(); // the thread is free for another
    const answer = await answerCall(task.host, asked, {
      signal: ended.signal,
      maxLength: task.limits.memoryBytes,
      log,
    });
    held.calls--;
    if (!isGone && tasks.get(id) === held)
      worker.postMessage({ kind: "reply", id, call, ...answer } satisfies ToWorker, []);
  };

  /** For a run that waits; one that executes reads no message and is told by `watch`. */
  const abandon = (id: number): void => {
    const held = tasks.get(id);
    if (!held) return;
    held.abandonedAt = performance.now();
    held.ended?.abort(new Error("the run was given up"));
    worker.postMessage({ kind: "abort", id } satisfies ToWorker, []);
  };

  worker.on("message", (message: FromWorker) => {
    switch (message.kind) {
      case "ready":
        isReady = true;
        return;
      case "call":
        return void call(message);
      case "raw": {
        const held = tasks.get(message.id);
        if (held) held.task.hasCalled = true;
        return;
      }
      case "outcome":
        return finish(message.id, (task) => task.succeed(message.outcome));
      case "validation":
        return finish(message.id, (task) => task.succeed(message.validation));
      case "failed":
        return finish(message.id, (task) =>
          task.fail(new Error(`[lua-scripts] a script could not be run: ${message.message}`)),
        );
    }
  });
  worker.on("error", (error: Error) => (crash = error));
  worker.on("exit", (code) => {
    const reason = `a script thread ended${crash ? `: ${crash.message}` : ` with code ${code}`}`;
    if (!isReady) {
      // It will not start better the next time: those who wait must hear why.
      for (const task of takeAll()) task.fail(new Error(`[lua-scripts] ${reason}`, { cause: crash }));
    }
    const isMemory = crash !== undefined && "code" in crash && crash.code === "ERR_WORKER_OUT_OF_MEMORY";
    end(
      (task) =>
        isMemory
          ? task.succeed(failed(task, "memoryBytes", segmentMs()))
          : task.fail(new Error(`[lua-scripts] ${reason}`)),
      reason,
    );
  });

  return {
    get load() {
      let load = 0;
      for (const { calls } of tasks.values()) if (calls === 0) load++;
      return load;
    },
    get held() {
      return tasks.size;
    },
    get mebibytes() {
      return Atomics.load(signals, signal.mebibytes);
    },
    assign(task) {
      if (tasks.size === 0 && lastId > maxId) {
        lastId = 0;
        Atomics.store(signals, signal.begun, 0);
        Atomics.store(signals, signal.skipUpTo, 0);
        Atomics.store(signals, signal.aborted, 0);
      }
      // Ids grow along the queue of a worker; a task that is handed out again gets a new one.
      const id = ++lastId;
      tasks.set(id, { task, calls: 0 });
      task.abandon = () => abandon(id);
      worker.postMessage(task.message(id), []);
    },
    isSlow: () => segmentMs() > slowMs,
    takeBack() {
      const begun = Atomics.load(signals, signal.begun);
      const waiting = [...tasks].filter(([id]) => id > begun);
      const last = waiting.at(-1)?.[0];
      if (last !== undefined) Atomics.store(signals, signal.skipUpTo, last);
      return waiting.flatMap(([id]) => take(id) ?? []).filter((task) => !task.isSettled);
    },
    watch(graceMs) {
      const id = runningId();
      const { task, abandonedAt } = tasks.get(id) ?? {};
      if (abandonedAt !== undefined) {
        Atomics.store(signals, signal.aborted, id);
        if (segmentMs() > graceMs && performance.now() - abandonedAt > graceMs)
          end(undefined, "its script was given up and did not stop");
        return;
      }
      if (!task || segmentMs() <= task.limits.milliseconds + graceMs) return;
      end(
        (culprit) => culprit.succeed(failed(culprit, "milliseconds", segmentMs())),
        "its script did not stop",
      );
    },
    async close() {
      if (isGone) return;
      if (tasks.size > 0) {
        const idle = new Promise<void>((resolve) => (onIdle = resolve));
        let timer: NodeJS.Timeout | undefined;
        await Promise.race([idle, new Promise((resolve) => (timer = setTimeout(resolve, closeMs)))]);
        clearTimeout(timer);
      }
      isGone = true;
      for (const task of takeAll()) task.fail(new Error("[lua-scripts] the script pool is closed"));
      const exited = new Promise<void>((resolve) => void worker.once("exit", () => resolve()));
      worker.postMessage({ kind: "close" } satisfies ToWorker, []);
      const force = setTimeout(() => void worker.terminate(), 1000);
      await exited;
      clearTimeout(force);
    },
  };
}

/** The outcome of a run whose thread was taken from it: nobody is left who could say at which line. */
function failed(task: Task, limit: "memoryBytes" | "milliseconds", ms: number): ScriptOutcome | Validation {
  const message = limit === "memoryBytes" ? "not enough memory" : "script exceeded execution time limit";
  if (task.name === undefined) return compilationFailed(message);
  const type = limit === "memoryBytes" ? "memory" : "timeout";
  const used = { instructions: 0, ms, memoryBytes: limit === "memoryBytes" ? task.limits.memoryBytes : 0 };
  const error: ScriptFailure = { type, message, line: null, traceback: "", limit };
  return { kind: "error", error, logs: [], prints: [], used };
}
