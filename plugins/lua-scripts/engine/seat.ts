import type { DatabaseSource } from "../../../core/db/database.ts";
import { signal, signalBytes, type FromWorker, type ToWorker } from "../worker/protocol.ts";
import type { Limits, ScriptFailure, ScriptOutcome, Validation } from "./engine.ts";
import { compilationFailed } from "../validate.ts";
import { spawnWorker } from "./spawn.ts";

export interface Task {
  /** The trigger; a validation has none. */
  name: string | undefined;
  message: (id: number) => ToWorker;
  limits: Limits;
  /** How often a worker ended while it held this task. */
  attempts: number;
  isSettled: boolean;
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
  readonly load: number;
  assign(task: Task): void;
  /** True while one script has held the thread for long enough that others should not wait behind it. */
  isSlow(): boolean;
  /** Takes back the tasks the worker has not begun. */
  takeBack(): Task[];
  /** Ends the worker when its script is `graceMs` over its time. */
  watch(graceMs: number): void;
  close(): Promise<void>;
}

const slowMs = 100;
const closeMs = 5000;
const maxId = 2 ** 30;

export function createSeat(database: DatabaseSource, events: SeatEvents): Seat {
  const buffer = new SharedArrayBuffer(signalBytes);
  const signals = new Int32Array(buffer);
  const tasks = new Map<number, Task>();
  const worker = spawnWorker({ database, signals: buffer });
  let seen = { segment: 0, since: performance.now() };
  let lastId = 0;
  let isReady = false;
  let crash: Error | undefined;
  let isGone = false;
  let onIdle: (() => void) | undefined;

  const finish = (id: number, settle: (task: Task) => void): void => {
    const task = tasks.get(id);
    if (!task) return;
    tasks.delete(id);
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
    const culprit = tasks.get(id);
    if (culprit && outcomeOfCulprit) {
      tasks.delete(id);
      if (!culprit.isSettled) outcomeOfCulprit(culprit);
    }
    const unfinished = [...tasks.values()].filter((task) => !task.isSettled);
    tasks.clear();
    onIdle?.();
    events.ended(unfinished, culprit, reason);
    void worker.terminate();
  };

  worker.on("message", (message: FromWorker) => {
    switch (message.kind) {
      case "ready":
        isReady = true;
        return;
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
      for (const task of tasks.values())
        if (!task.isSettled) task.fail(new Error(`[lua-scripts] ${reason}`, { cause: crash }));
      tasks.clear();
    }
    const isMemory = crash !== undefined && "code" in crash && crash.code === "ERR_WORKER_OUT_OF_MEMORY";
    end(
      (task) =>
        isMemory
          ? task.succeed(failed(task, "memory", "not enough memory"))
          : task.fail(new Error(`[lua-scripts] ${reason}`)),
      reason,
    );
  });

  return {
    get load() {
      return tasks.size;
    },
    assign(task) {
      if (tasks.size === 0 && lastId > maxId) {
        lastId = 0;
        Atomics.store(signals, signal.begun, 0);
        Atomics.store(signals, signal.skipUpTo, 0);
      }
      // Ids grow along the queue of a worker; a task that is handed out again gets a new one.
      const id = ++lastId;
      tasks.set(id, task);
      worker.postMessage(task.message(id), []);
    },
    isSlow: () => segmentMs() > slowMs,
    takeBack() {
      const begun = Atomics.load(signals, signal.begun);
      const waiting = [...tasks].filter(([id]) => id > begun);
      const last = waiting.at(-1)?.[0];
      if (last !== undefined) Atomics.store(signals, signal.skipUpTo, last);
      for (const [id] of waiting) tasks.delete(id);
      return waiting.map(([, task]) => task).filter((task) => !task.isSettled);
    },
    watch(graceMs) {
      const task = tasks.get(runningId());
      if (!task || segmentMs() <= task.limits.milliseconds + graceMs) return;
      end(
        (culprit) => culprit.succeed(failed(culprit, "timeout", "script exceeded execution time limit")),
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
      for (const task of tasks.values())
        if (!task.isSettled) task.fail(new Error("[lua-scripts] the script pool is closed"));
      const exited = new Promise<void>((resolve) => void worker.once("exit", () => resolve()));
      worker.postMessage({ kind: "close" } satisfies ToWorker, []);
      const force = setTimeout(() => void worker.terminate(), 1000);
      await exited;
      clearTimeout(force);
    },
  };
}

/** The outcome of a run whose thread was taken from it: nobody is left who could say at which line. */
function failed(task: Task, type: ScriptFailure["type"], message: string): ScriptOutcome | Validation {
  if (task.name === undefined) return compilationFailed(message);
  const used = { instructions: 0, ms: task.limits.milliseconds, memoryBytes: 0 };
  return { kind: "error", error: { type, message, line: null, traceback: "" }, logs: [], prints: [], used };
}
