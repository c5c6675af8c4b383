import {
  ScriptError,
  type HostFunction,
  type HostResult,
  type ScriptTable,
  type ScriptValue,
} from "../engine.ts";
import { endSegment, hostFailure, startSegment } from "../lua54/active-run.ts";
import { JsonError, nullValue, pushJson, toJsonText } from "./decode.ts";
import { EncodeError, encodeJson } from "./encode.ts";
import {
  isLargeWhole,
  lua,
  pushText,
  pushWhole,
  raise,
  readText,
  type,
  typeNames,
  type LuaState,
} from "./lua.ts";
import type { FengariRun } from "./state.ts";

const maxArgumentDepth = 16;
const maxArgumentValues = 10_000;
const maxArguments = 250;

/** What a coroutine yields to the one that resumed it when a host function waits inside. */
export const waitMark: object = Object.freeze({ waits: true });

/** A host function for Lua. It calls, and if the result is a promise, yields to the host. */
export function hostFunction(run: FengariRun, name: string, call: HostFunction): (L: LuaState) => number {
  return (L) => {
    let args: ScriptValue[] = [];
    let tooMany: string | undefined;
    try {
      args = readArguments(L);
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      tooMany = error.message;
    }
    if (tooMany !== undefined) return raise(L, tooMany);
    if (run.exceeded) return raise(L, run.exceeded.message);
    // The time in the host is not the script's, but a host call that hangs is seen all the same.
    endSegment(run);
    run.request.onSegment?.(true);
    let result: HostResult | Promise<HostResult>;
    let failure: string | undefined;
    try {
      result = call(args, run.host);
    } catch (error) {
      failure = hostFailure(run, name, error);
    }
    startSegment(run);
    if (failure !== undefined) return raise(L, failure);
    if (!(result instanceof Promise)) return pushResult(run, L, result);
    run.settled = undefined;
    run.pending = result.then(
      (value) => void (run.settled = { ok: true, value }),
      (error: unknown) => void (run.settled = { ok: false, error: hostFailure(run, name, error) }),
    );
    const goOn = (state: LuaState): number => takeSettled(run, state);
    if (L === run.machine.thread) return lua.lua_yieldk(L, 0, 0, goOn);
    lua.lua_pushlightuserdata(L, waitMark);
    return lua.lua_yieldk(L, 1, 0, goOn);
  };
}

function takeSettled(run: FengariRun, L: LuaState): number {
  const { settled } = run;
  if (!settled) return raise(L, "a function of the host was resumed before it had its result");
  if (!settled.ok) return raise(L, String(settled.error));
  return pushResult(run, L, settled.value as HostResult); // it is what the host function resolved with
}

export function jsonFunctions(run: FengariRun): Record<"encode" | "decode", (L: LuaState) => number> {
  return {
    encode: (L) =>
      raising(L, "json.encode: ", () => {
        lua.lua_settop(L, 1);
        pushText(L, encodeJson(L, run.machine.arrayMeta, run.request.limits.resultBytes));
        return 1;
      }),
    decode: (L) =>
      raising(L, "json.decode: ", () => {
        const bytes = lua.lua_type(L, 1) === type.string ? lua.lua_tostring(L, 1) : null;
        if (!bytes) throw new JsonError("a string is expected");
        pushJson(L, toJsonText(bytes), run.machine.pushArrayMeta);
        return 1;
      }),
  };
}

/** Runs the marshalling in `work`; its own errors become Lua errors, everything else passes. */
export function raising(L: LuaState, prefix: string, work: () => number): number {
  let message: string;
  try {
    return work();
  } catch (error) {
    if (!(error instanceof JsonError || error instanceof EncodeError)) throw error;
    message = prefix + error.message;
  }
  return raise(L, message);
}

function pushResult(run: FengariRun, L: LuaState, value: HostResult): number {
  switch (typeof value) {
    case "undefined":
      lua.lua_pushnil(L);
      return 1;
    case "boolean":
      lua.lua_pushboolean(L, value);
      return 1;
    case "bigint":
      pushWhole(L, Number(value));
      return 1;
    case "number":
      lua.lua_pushnumber(L, value);
      return 1;
    case "string":
      pushText(L, value);
      return 1;
    default:
      return raising(L, "", () => {
        pushJson(L, value.json, run.machine.pushArrayMeta);
        return 1;
      });
  }
}

function readArguments(L: LuaState): ScriptValue[] {
  const count = Math.min(lua.lua_gettop(L), maxArguments);
  const args: ScriptValue[] = [];
  const budget = { values: maxArgumentValues };
  lua.lua_checkstack(L, 3 * maxArgumentDepth + 8);
  for (let i = 1; i <= count; i++) args.push(readValue(L, i, 0, budget));
  return args;
}

/** A table that is too deep is cut; one too large raises, as no function may go on with half of what it was given. */
function readValue(L: LuaState, index: number, depth: number, budget: { values: number }): ScriptValue {
  if (--budget.values < 0) throw new ScriptError(`too many values: at most ${maxArgumentValues}`);
  switch (lua.lua_type(L, index)) {
    case type.boolean:
      return lua.lua_toboolean(L, index);
    case type.number: {
      const value = lua.lua_tonumber(L, index);
      return lua.lua_isinteger(L, index) || isLargeWhole(value) ? BigInt(value) : value;
    }
    case type.string:
      return readText(L, index);
    case type.table:
      return depth < maxArgumentDepth ? readTable(L, index, depth, budget) : undefined;
    case type.lightUserdata:
      return lua.lua_touserdata(L, index) === nullValue ? null : undefined;
    default:
      return undefined;
  }
}

function readTable(L: LuaState, index: number, depth: number, budget: { values: number }): ScriptTable {
  const fields = new Map<string, ScriptValue>();
  const items: ScriptValue[] = [];
  let opaque: Map<number, string> | undefined;
  const length = lua.lua_rawlen(L, index);
  for (let i = 1; i <= length; i++) {
    lua.lua_rawgeti(L, index, i);
    const item = readValue(L, lua.lua_gettop(L), depth + 1, budget);
    const kind = item === undefined ? lua.lua_type(L, -1) : type.nil;
    if (kind >= type.function) (opaque ??= new Map()).set(items.length, typeNames[kind] ?? "unknown");
    items.push(item);
    lua.lua_pop(L, 1);
  }
  lua.lua_pushnil(L);
  while (lua.lua_next(L, index) !== 0) {
    const key = readText(L, -2);
    if (key !== undefined) fields.set(key, readValue(L, lua.lua_gettop(L), depth + 1, budget));
    lua.lua_pop(L, 1);
  }
  return { fields, items, ...(opaque ? { opaque } : {}) };
}
