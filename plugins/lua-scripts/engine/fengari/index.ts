import { toValidation } from "../../validate.ts";
import type { Engine, EngineRun, HostApi, HostFunction, ScriptFailure, ScriptOutcome } from "../engine.ts";
import { hostApi } from "../host-calls.ts";
import { createActiveRun, endSegment, startSegment } from "../lua54/active-run.ts";
import { bare, limitFailure } from "../lua54/failure.ts";
import type { Lua54Options } from "../lua54/index.ts";
import { entryFunction, hookFunction, hookInterval } from "./entry.ts";
import { describeFailure } from "./failure.ts";
import { lauxlib, lua, readText, status } from "./lua.ts";
import { buildState, type FengariRun, type StateParts } from "./state.ts";
import { constantText } from "./text.ts";

/**
 * Lua 5.3 in JavaScript, for hosts without WebAssembly. Its integers have 32 bits (docs/lua-engines.md), and it
 * cannot tell what one script holds in memory: the run that executes while its thread's heap is full is ended.
 */
export function createFengariEngine(options: Lua54Options): Engine {
  const host = { ...hostApi, ...exactNumbers(options.utilities), ...options.api };
  const apis = options.apis ?? [];
  const kept = new Set(Object.keys(options.utilities).map(owner));
  const parts: StateParts = {
    host: Object.entries(host),
    apis,
    removed: [
      ...Object.keys(host)
        .map(owner)
        .filter((name) => !kept.has(name)),
      ...apis.flatMap(({ globals }) => globals),
    ],
  };

  const start = (request: EngineRun, loadOnly: boolean): ScriptOutcome | Promise<ScriptOutcome> => {
    const run = buildState(request, parts, {
      seed: options.seed(),
      forValidation: loadOnly,
      toRun: (state) => createActiveRun(request, state, loadOnly, options.modules),
    });
    const failure = load(run);
    return failure ? finish(run, failure) : drive(run);
  };

  return {
    run: (request) => start(request, false),
    validate(body, limits, source) {
      const request = { body, limits, chunkName: "script", globals: "{}", input: "env", context: "{}" };
      const outcome = start({ ...request, onlyTables: true }, true);
      // Only host functions wait, and none that does is there.
      return toValidation(outcome as ScriptOutcome, source);
    },
    close() {},
  };
}

/** Compiles the body and puts the function that starts the run on its thread. */
function load(run: FengariRun): ScriptFailure | undefined {
  const { thread } = run.machine;
  const { body, chunkName } = run.request;
  const bytes = new Uint8Array(Buffer.from(body));
  lua.lua_pushcfunction(thread, entryFunction(run));
  // Mode "t": a body is text, never byte code, which could break out of the virtual machine.
  const name = new Uint8Array(Buffer.from(`=${chunkName}`));
  if (lauxlib.luaL_loadbufferx(thread, bytes, bytes.length, name, constantText("t")) === status.ok) {
    lua.lua_sethook(thread, hookFunction(run), lua.LUA_MASKCOUNT, hookInterval);
    return undefined;
  }
  return { type: "syntax", ...bare(readText(thread, -1) ?? "syntax error", chunkName), traceback: "" };
}

function drive(run: FengariRun): ScriptOutcome | Promise<ScriptOutcome> {
  const code = resume(run, 1);
  return code === status.yield && run.pending ? waiting(run) : end(run, code);
}

async function waiting(run: FengariRun): Promise<ScriptOutcome> {
  let code: number = status.yield;
  while (code === status.yield && run.pending) {
    const { pending } = run;
    run.pending = undefined;
    await pending;
    code = resume(run, 0);
  }
  return end(run, code);
}

function resume(run: FengariRun, args: number): number {
  return execute(run, () => lua.lua_resume(run.machine.thread, run.machine.L, args));
}

/** Lets Lua code of the run execute. */
function execute<T>(run: FengariRun, work: () => T): T {
  startSegment(run);
  try {
    return work();
  } finally {
    endSegment(run);
    run.request.onSegment?.(false);
  }
}

function end(run: FengariRun, code: number): ScriptOutcome {
  if (run.missingHandle)
    return finish(run, plain("missing_handle", "script does not define a handle() function"));
  if (code === status.ok) return finish(run, run.exceeded && limitFailure(run));
  if (code === status.yield)
    return finish(run, plain("runtime", "attempt to yield from outside a coroutine"));
  return finish(
    run,
    execute(run, () => describeFailure(run)),
  );
}

function finish(run: FengariRun, error: ScriptFailure | undefined): ScriptOutcome {
  const used = {
    instructions: run.instructions,
    ms: run.elapsedMs,
    memoryBytes: 0,
    ...run.host.raw.used,
  };
  const rest = { logs: run.logs, prints: run.prints, used };
  return error ? { kind: "error", error, ...rest } : { ...run.result, ...rest };
}

/** A TID as a number has up to 63 bits; beyond 53 as text it loses none, and `TID.fromNumber` takes it back. */
function exactNumbers(utilities: HostApi): HostApi {
  const toNumber = utilities["TID.toNumber"];
  if (!toNumber) return utilities;
  const exact: HostFunction = (args, run) => {
    const number = toNumber(args, run);
    return typeof number === "bigint" && number <= BigInt(Number.MAX_SAFE_INTEGER) ? number : String(number);
  };
  return { ...utilities, "TID.toNumber": exact };
}

function plain(type: ScriptFailure["type"], message: string): ScriptFailure {
  return { type, message, line: null, traceback: "" };
}

function owner(path: string): string {
  return path.split(".")[0] ?? path;
}
