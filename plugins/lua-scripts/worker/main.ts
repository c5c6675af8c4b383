import { parentPort, workerData } from "node:worker_threads";
import { createDb } from "../api/db.ts";
import { luaApis } from "../api/lua/index.ts";
import { modules } from "../api/modules/index.ts";
import { createUtilities } from "../api/utilities.ts";
import { createLua54Engine } from "../engine/lua54/index.ts";
import { createCalls } from "./calls.ts";
import { openReader } from "./database.ts";
import { signal, type EngineName, type FromWorker, type ToWorker, type WorkerSetup } from "./protocol.ts";

/** A thread that runs scripts, one after the other; several only where they wait for the database. */
async function main(port: NonNullable<typeof parentPort>, setup: WorkerSetup): Promise<void> {
  const signals = new Int32Array(setup.signals);
  const reader = openReader(setup);
  const createEngine = await engineOf(setup.engine);
  const engine = createEngine({
    utilities: createUtilities({
      now: () => performance.timeOrigin + performance.now(),
      random: Math.random,
    }),
    api: createDb(reader),
    apis: luaApis,
    modules,
    seed: randomSeed,
  });
  const send = (message: FromWorker): void => port.postMessage(message, []);
  const calls = createCalls(send);

  const perform = async (id: number, work: () => FromWorker | Promise<FromWorker>): Promise<void> => {
    try {
      send(await work());
    } catch (error) {
      send({
        kind: "failed",
        id,
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    }
  };

  const onSegment =
    (id: number) =>
    (isRunning: boolean): void => {
      Atomics.store(signals, signal.running, isRunning ? id : 0);
      if (!isRunning) Atomics.store(signals, signal.mebibytes, (engine.heldBytes?.() ?? 0) / 2 ** 20);
      Atomics.add(signals, signal.segment, 1);
    };

  port.on("message", (message: ToWorker) => {
    if (message.kind === "run" || message.kind === "validate") {
      if (message.id <= Atomics.load(signals, signal.skipUpTo)) return;
      Atomics.store(signals, signal.begun, message.id);
    }
    switch (message.kind) {
      case "run": {
        const { id, run } = message;
        void perform(id, async () => {
          try {
            const isAborted = (): boolean =>
              Atomics.load(signals, signal.aborted) === id || calls.isAborted(id);
            const onRaw = (): void => send({ kind: "raw", id });
            const local = { onSegment: onSegment(id), onRaw, call: calls.of(id), isAborted };
            return { kind: "outcome", id, outcome: await engine.run({ ...run, ...local }) };
          } finally {
            calls.forget(id);
          }
        });
        return;
      }
      case "validate": {
        const { id, body, limits, source } = message;
        const mark = onSegment(id);
        mark(true);
        void perform(id, () => ({
          kind: "validation",
          id,
          validation: engine.validate(body, limits, source),
        }));
        mark(false);
        return;
      }
      case "reply":
        return calls.answer(message.id, message.call, message);
      case "abort":
        return calls.abort(message.id);
      case "close":
        engine.close();
        void Promise.resolve(reader.close()).finally(() => port.close());
    }
  });
  send({ kind: "ready" });
}

/** Fengari is a package of its own, which only those install who choose it. */
async function engineOf(name: EngineName): Promise<typeof createLua54Engine> {
  return name === "fengari"
    ? (await import("../engine/fengari/index.ts")).createFengariEngine
    : createLua54Engine;
}

function randomSeed(): readonly [bigint, bigint] {
  const [a = 0n, b = 0n] = crypto.getRandomValues(new BigInt64Array(2));
  return [a, b];
}

// The main thread starts this file with a WorkerSetup; nobody else imports it.
if (parentPort) await main(parentPort, workerData as WorkerSetup);
