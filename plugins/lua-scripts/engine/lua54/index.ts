import type { Engine, EngineRun, HostApi, ScriptFailure, ScriptOutcome } from "../engine.ts";
import { toValidation } from "../../validate.ts";
import { createActiveRun, endSegment, exceed, startSegment, type ActiveRun } from "./active-run.ts";
import { continuationPointer, hostPointer, jsonPointers, setMetatablePointer } from "./bridge.ts";
import { registry, status } from "./constants.ts";
import { entryPointer, hookPointer } from "./entry.ts";
import { bare, describeFailure, limitFailure, memoryText } from "./failure.ts";
import { hostApi } from "../host-calls.ts";
import { createMachineShop, type LuaApiText, type Machine } from "./machine.ts";
import { createSharedCount } from "./shared-count.ts";
import { createVm, readText, type Vm } from "./vm.ts";

const keptScripts = 64;
/** States that wait for their next run; more are made where many runs wait for the host at once. */
const keptMachines = 8;
const stackOverflow = "stack overflow";

export interface Lua54Options {
  /** What scripts may always call, also while they are validated. */
  utilities: HostApi;
  api: HostApi;
  /** The part of the APIs that is written in Lua. */
  apis?: readonly LuaApiText[];
  /** Modules of our own for `require`. They are loaded with the kit of the prelude. */
  modules?: Readonly<Record<string, string>>;
  /** Two integers to seed `math.random` with. */
  seed: () => readonly [bigint, bigint];
}

/** PUC Lua 5.4 as WebAssembly. */
export function createLua54Engine(options: Lua54Options): Engine {
  const vm = createVm();
  const continuation = continuationPointer(vm);
  const host = Object.entries({ ...hostApi, ...options.utilities, ...options.api });
  const entry = entryPointer(vm);
  const shop = createMachineShop(
    vm,
    {
      hook: hookPointer(vm),
      ...jsonPointers(vm),
      setMetatable: setMetatablePointer(vm),
      count: createSharedCount(vm.lua),
      solid: vm.solid.wrap,
      host: host.map(([path, call]) => [path, hostPointer(vm, path, call, continuation)]),
    },
    options.utilities,
    options.apis ?? [],
  );
  const idle: Machine[] = [];
  const stack = vm.lua.api.stackSave();
  const results = vm.lua.api.malloc(4);
  let validator: Machine | undefined;

  /** Lets Lua code of the run execute. Undefined when it broke out: the state is lost, the next run resets it. */
  const execute = <T>(run: ActiveRun, work: () => T): T | undefined => {
    vm.active = run;
    startSegment(run);
    try {
      return work();
    } catch (error) {
      vm.lua.api.stackRestore(stack);
      vm.lua.api.setThrew(0, 0);
      if (!(error instanceof RangeError || error instanceof WebAssembly.RuntimeError)) throw error;
      return undefined;
    } finally {
      endSegment(run);
      run.request.onSegment?.(false);
      vm.active = undefined;
    }
  };

  const resume = (run: ActiveRun, args: number): number | undefined =>
    execute(run, () => vm.lua.api.lua_resume(run.machine.thread, run.machine.L, args, results));

  const finish = (run: ActiveRun, code: number | undefined): ScriptOutcome => {
    const error = failureOf(run, code);
    const used = {
      instructions: run.instructions,
      ms: run.elapsedMs,
      memoryBytes: run.machine.arena.peak,
      ...run.host.raw.used,
    };
    const rest = { logs: run.logs, prints: run.prints, used };
    return error ? { kind: "error", error, ...rest } : { ...run.result, ...rest };
  };

  const failureOf = (run: ActiveRun, code: number | undefined): ScriptFailure | undefined => {
    if (run.missingHandle) return plain("missing_handle", "script does not define a handle() function");
    if (run.machine.arena.isFull) exceed(run, "memoryBytes", memoryText);
    if (code === status.ok) return run.exceeded && limitFailure(run);
    if (code === undefined) return plain("runtime", stackOverflow);
    if (code === status.yield) return plain("runtime", "attempt to yield from outside a coroutine");
    return execute(run, () => describeFailure(vm, run, code)) ?? plain("runtime", stackOverflow);
  };

  const drive = (run: ActiveRun): ScriptOutcome | Promise<ScriptOutcome> => {
    const code = resume(run, 1);
    return code === status.yield && run.pending ? waiting(run) : finish(run, code);
  };

  const waiting = async (run: ActiveRun): Promise<ScriptOutcome> => {
    let code: number | undefined = status.yield;
    while (code === status.yield && run.pending) {
      const pending = run.pending;
      run.pending = undefined;
      await pending;
      code = resume(run, 0);
    }
    return finish(run, code);
  };

  const start = (
    machine: Machine,
    request: EngineRun,
    loadOnly = false,
  ): ScriptOutcome | Promise<ScriptOutcome> => {
    const run = createActiveRun(request, machine, loadOnly, options.modules);
    const failure = load(vm, machine, request, entry);
    if (failure) {
      const used = { instructions: 0, ms: 0, memoryBytes: machine.arena.peak };
      return { kind: "error", error: failure, logs: [], prints: [], used };
    }
    reseed(vm, machine, options.seed());
    return drive(run);
  };

  return {
    run(request) {
      const machine = idle.pop() ?? shop.build(false);
      const done = (): void => {
        machine.arena.release();
        vm.scratch.shrink();
        if (idle.length < keptMachines) idle.push(machine);
        else shop.discard(machine);
      };
      let outcome: ScriptOutcome | Promise<ScriptOutcome> | undefined;
      try {
        outcome = start(machine, request);
      } finally {
        if (!(outcome instanceof Promise)) done();
      }
      return outcome instanceof Promise ? outcome.finally(done) : outcome;
    },
    validate(body, limits, source) {
      validator ??= shop.build(true);
      const request = { body, limits, chunkName: "script", globals: "{}", input: "env", context: "{}" };
      const outcome = start(validator, { ...request, onlyTables: true }, true);
      validator.arena.release();
      // Only host functions wait, and none that does is there.
      return toValidation(outcome as ScriptOutcome, source);
    },
    heldBytes: () => vm.lua.heap.u8.byteLength,
    close() {
      idle.length = 0;
    },
  };
}

/** Makes the state fresh with the compiled chunk and the entry function on its thread. */
function load(vm: Vm, machine: Machine, request: EngineRun, entry: number): ScriptFailure | undefined {
  const { api } = vm.lua;
  const { arena, thread } = machine;
  const key = `${request.chunkName}\0${request.body}`;
  const kept = machine.scripts.get(key);
  arena.limit = request.limits.memoryBytes;
  if (kept) {
    arena.restore(kept);
    return undefined;
  }
  arena.restore(machine.pristine);
  const name = vm.lua.constant(`=${request.chunkName}`);
  const { address, length } = vm.scratch.put(request.body);
  api.lua_pushcclosure(thread, entry, 0);
  // Mode "t": a body is text, never bytecode, which could break out of the virtual machine.
  const code = api.luaL_loadbufferx(thread, address, length, name, vm.names.text);
  api.free(name);
  if (code !== status.ok) {
    if (code === status.memory) return { ...plain("memory", memoryText), limit: "memoryBytes" };
    const raw = readText(vm, thread, -1) ?? "syntax error";
    return { type: "syntax", ...bare(raw, request.chunkName), traceback: "" };
  }
  const snapshot = arena.snapshot();
  if (snapshot) {
    if (machine.scripts.size >= keptScripts) machine.scripts.delete([...machine.scripts.keys()][0] ?? "");
    machine.scripts.set(key, snapshot);
  }
  return undefined;
}

function reseed(vm: Vm, { L }: Machine, [a, b]: readonly [bigint, bigint]): void {
  const { api } = vm.lua;
  api.lua_rawgeti(L, registry.table, registry.randomseed);
  api.lua_pushinteger(L, BigInt.asIntN(64, a));
  api.lua_pushinteger(L, BigInt.asIntN(64, b));
  api.lua_callk(L, 2, 0, 0, 0);
}

function plain(type: ScriptFailure["type"], message: string): ScriptFailure {
  return { type, message, line: null, traceback: "" };
}
