import {
  ScriptError,
  type HostFunction,
  type HostResult,
  type ScriptTable,
  type ScriptValue,
} from "../engine.ts";
import { endSegment, hostFailure, startSegment } from "./active-run.ts";
import { type, typeNames } from "./constants.ts";
import { pushText, raise, raising, readText, type Vm } from "./vm.ts";

const maxArgumentDepth = 16;
const maxArgumentValues = 10_000;
const maxArguments = 250;

/** The address that stands for "a host function waits" when a coroutine yields it to the one that resumed it. */
export const waitMark = 1;

/** A host function as a C function pointer. It calls, and if the result is a promise, yields to the host. */
export function hostPointer(vm: Vm, name: string, call: HostFunction, continuation: number): number {
  const { api } = vm.lua;
  const body = (L: number): number => {
    const run = vm.active;
    if (!run) throw new Error(`${name} was called outside a run`);
    let args: ScriptValue[] = [];
    let tooMany: string | undefined;
    try {
      args = readArguments(vm, L);
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      tooMany = error.message;
    }
    if (tooMany !== undefined) return raise(vm, L, tooMany);
    if (run.exceeded) return raise(vm, L, run.exceeded.message);
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
    if (failure !== undefined) return raise(vm, L, failure);
    if (!(result instanceof Promise)) return pushResult(vm, L, result);
    run.settled = undefined;
    run.pending = result.then(
      (value) => void (run.settled = { ok: true, value }),
      (error: unknown) => void (run.settled = { ok: false, error: hostFailure(run, name, error) }),
    );
    if (L === run.machine.thread) return api.lua_yieldk(L, 0, 0, continuation);
    api.lua_pushlightuserdata(L, waitMark);
    return api.lua_yieldk(L, 1, 0, continuation);
  };
  return vm.lua.pointer((L) => body(L as number), 1, true);
}

/** Where a host function that waited goes on. */
export function continuationPointer(vm: Vm): number {
  return vm.lua.pointer(
    (L) => {
      const state = L as number;
      const settled = vm.active?.settled;
      if (!settled) return raise(vm, state, "a function of the host was resumed before it had its result");
      if (!settled.ok) return raise(vm, state, String(settled.error));
      return pushResult(vm, state, settled.value as HostResult); // it is what the host function resolved with
    },
    3,
    true,
  );
}

export function jsonPointers(vm: Vm): { encode: number; decode: number } {
  const { api, heap } = vm.lua;
  const encode = (L: number): number =>
    raising(vm, L, "json.encode: ", () => {
      const run = vm.active;
      if (!run) return 0;
      api.lua_settop(L, 1);
      const bytes = vm.encoder.encode(L, run.machine.arrayAddress, run.request.limits.resultBytes);
      const address = vm.scratch.reserve(bytes.length);
      heap.u8.set(bytes, address);
      api.lua_pushlstring(L, address, bytes.length);
      return 1;
    });
  const decode = (L: number): number => {
    const kind = api.lua_type(L, 1);
    if (kind !== type.string) return raise(vm, L, "json.decode: a string is expected");
    return raising(vm, L, "json.decode: ", () => {
      const { address, length } = vm.lua.string(L, 1);
      vm.decoder.push(L, vm.scratch.copy(address, length), length);
      return 1;
    });
  };
  return {
    encode: vm.lua.pointer((L) => encode(L as number), 1, true),
    decode: vm.lua.pointer((L) => decode(L as number), 1, true),
  };
}

/**
 * `setmetatable` without finalizers: Lua runs `__gc` with its hooks off, so a loop in there could not be stopped.
 * The metatable keeps the field, the object is just never marked for it.
 */
export function setMetatablePointer(vm: Vm): number {
  const { api } = vm.lua;
  const body = (L: number): number => {
    const target = api.lua_type(L, 1);
    const meta = api.lua_type(L, 2);
    if (target !== type.table) return api.luaL_typeerror(L, 1, vm.names.table);
    if (meta !== type.nil && meta !== type.table) return api.luaL_typeerror(L, 2, vm.names.nilOrTable);
    if (api.luaL_getmetafield(L, 1, vm.names.metatable) !== type.nil)
      return raise(vm, L, "cannot change a protected metatable");
    api.lua_settop(L, 2);
    if (meta === type.nil) {
      api.lua_setmetatable(L, 1);
      return 1;
    }
    pushText(vm, L, "__gc");
    if (api.lua_rawget(L, 2) !== type.nil) {
      pushText(vm, L, "__gc");
      api.lua_pushnil(L);
      api.lua_rawset(L, 2);
    }
    api.lua_pushvalue(L, 2);
    api.lua_setmetatable(L, 1);
    if (api.lua_type(L, 3) !== type.nil) {
      pushText(vm, L, "__gc");
      api.lua_pushvalue(L, 3);
      api.lua_rawset(L, 2);
    }
    api.lua_settop(L, 1);
    return 1;
  };
  return vm.lua.pointer((L) => body(L as number), 1, true);
}

function pushResult(vm: Vm, L: number, value: HostResult): number {
  const { api } = vm.lua;
  switch (typeof value) {
    case "undefined":
      api.lua_pushnil(L);
      return 1;
    case "boolean":
      api.lua_pushboolean(L, value ? 1 : 0);
      return 1;
    case "bigint":
      api.lua_pushinteger(L, BigInt.asIntN(64, value));
      return 1;
    case "number":
      api.lua_pushnumber(L, value);
      return 1;
    case "string":
      pushText(vm, L, value);
      return 1;
    default:
      return raising(vm, L, "", () => {
        const { address, length } = vm.scratch.put(value.json);
        vm.decoder.push(L, address, length);
        return 1;
      });
  }
}

function readArguments(vm: Vm, L: number): ScriptValue[] {
  const count = Math.min(vm.lua.api.lua_gettop(L), maxArguments);
  const args: ScriptValue[] = [];
  const budget = { values: maxArgumentValues };
  vm.lua.api.lua_checkstack(L, 3 * maxArgumentDepth + 8);
  for (let i = 1; i <= count; i++) args.push(readValue(vm, L, i, 0, budget));
  return args;
}

/** A table that is too deep is cut; one too large raises, as no function may go on with half of what it was given. */
function readValue(vm: Vm, L: number, index: number, depth: number, budget: { values: number }): ScriptValue {
  const { api } = vm.lua;
  if (--budget.values < 0) throw new ScriptError(`too many values: at most ${maxArgumentValues}`);
  switch (api.lua_type(L, index)) {
    case type.boolean:
      return api.lua_toboolean(L, index) === 1;
    case type.number:
      return api.lua_isinteger(L, index) === 1
        ? api.lua_tointegerx(L, index, 0)
        : api.lua_tonumberx(L, index, 0);
    case type.string:
      return readText(vm, L, index);
    case type.table:
      return depth < maxArgumentDepth ? readTable(vm, L, index, depth, budget) : undefined;
    case type.lightUserdata:
      return null;
    default:
      return undefined;
  }
}

function readTable(vm: Vm, L: number, index: number, depth: number, budget: { values: number }): ScriptTable {
  const { api } = vm.lua;
  const fields = new Map<string, ScriptValue>();
  const items: ScriptValue[] = [];
  let opaque: Map<number, string> | undefined;
  const length = Number(api.lua_rawlen(L, index));
  for (let i = 1; i <= length; i++) {
    api.lua_rawgeti(L, index, BigInt(i));
    const item = readValue(vm, L, api.lua_gettop(L), depth + 1, budget);
    const kind = item === undefined ? api.lua_type(L, -1) : type.nil;
    if (kind >= type.function) (opaque ??= new Map()).set(items.length, typeNames[kind] ?? "unknown");
    items.push(item);
    api.lua_settop(L, -2);
  }
  api.lua_pushnil(L);
  while (api.lua_next(L, index) !== 0) {
    const key = readText(vm, L, -2);
    if (key !== undefined) fields.set(key, readValue(vm, L, api.lua_gettop(L), depth + 1, budget));
    api.lua_settop(L, -2);
  }
  return { fields, items, ...(opaque ? { opaque } : {}) };
}
