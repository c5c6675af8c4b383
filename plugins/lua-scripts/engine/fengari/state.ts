import fengari from "fengari";
import type { EngineRun, HostFunction } from "../engine.ts";
import type { ActiveRun } from "../lua54/active-run.ts";
import type { LuaApiText } from "../lua54/machine.ts";
import { prelude, validationPrelude } from "../lua54/prelude.ts";
import { hostFunction, jsonFunctions, waitMark } from "./bridge.ts";
import { lauxlib, lua, notEnoughMemory, pushText, readText, status, type LuaState } from "./lua.ts";
import { installProtectedCalls } from "./protected-calls.ts";
import { installStandard } from "./standard.ts";
import { constantText } from "./text.ts";

const { lualib } = fengari;
const libraries = [
  ["_G", lualib.luaopen_base],
  ["coroutine", lualib.luaopen_coroutine],
  ["table", lualib.luaopen_table],
  ["string", lualib.luaopen_string],
  ["utf8", lualib.luaopen_utf8],
  ["math", lualib.luaopen_math],
] as const;

/** One fresh state. It is used once: there is no way to make a used one fresh again. */
export interface FengariState {
  L: LuaState;
  /** The coroutine the run executes in. */
  thread: LuaState;
  /** The metatable that marks an array. */
  arrayMeta: unknown;
  pushArrayMeta(L: LuaState): void;
}

export type FengariRun = ActiveRun<FengariState>;

export interface StateParts {
  host: readonly (readonly [path: string, call: HostFunction])[];
  apis: readonly LuaApiText[];
  /** Global names a script does not have while it is validated. */
  removed: readonly string[];
}

/** Places in the registry that are ours. */
export const place = { thread: 16, array: 17, begin: 18, kit: 19 } as const;

/** Our own Lua text, compiled once: reading byte code takes a fraction of the time. */
const compiled = new Map<string, Uint8Array>();

/** A state with the libraries, the prelude and the APIs; `run` is the one its functions belong to. */
export function buildState(
  request: EngineRun,
  parts: StateParts,
  options: {
    seed: readonly [bigint, bigint];
    forValidation: boolean;
    toRun: (state: FengariState) => FengariRun;
  },
): FengariRun {
  const L = lauxlib.luaL_newstate();
  lua.lua_atnativeerror(L, nativeError);
  for (const [name, open] of libraries) {
    lauxlib.luaL_requiref(L, constantText(name), open, true);
    lua.lua_settop(L, 0);
  }
  installProtectedCalls(L);
  installStandard(L, options.seed, request.limits.memoryBytes);
  const state: FengariState = {
    L,
    thread: lua.lua_newthread(L),
    arrayMeta: undefined,
    pushArrayMeta: (of) => void lua.lua_rawgeti(of, lua.LUA_REGISTRYINDEX, place.array),
  };
  lua.lua_rawseti(L, lua.LUA_REGISTRYINDEX, place.thread);
  const run = options.toRun(state);
  installPrelude(run, parts);
  for (const { text } of parts.apis)
    runOwn(L, text, () => (lua.lua_rawgeti(L, lua.LUA_REGISTRYINDEX, place.kit), 1), 0);
  if (options.forValidation) runOwn(L, validationPrelude, () => (pushText(L, parts.removed.join(" ")), 1), 0);
  return run;
}

function installPrelude(run: FengariRun, parts: StateParts): void {
  const { L } = run.machine;
  const json = jsonFunctions(run);
  const pushArguments = (): number => {
    lua.lua_createtable(L, 0, parts.host.length);
    for (const [path, call] of parts.host) {
      lua.lua_pushcfunction(L, hostFunction(run, path, call));
      lua.lua_setfield(L, -2, constantText(path));
    }
    lua.lua_pushlightuserdata(L, waitMark);
    lua.lua_pushcfunction(L, json.encode);
    lua.lua_pushcfunction(L, json.decode);
    lua.lua_getglobal(L, constantText("setmetatable"));
    lua.lua_pushcfunction(L, giveCount);
    lua.lua_pushcfunction(L, takeCount);
    return 7;
  };
  runOwn(L, prelude, pushArguments, 3);
  lua.lua_rawseti(L, lua.LUA_REGISTRYINDEX, place.begin);
  lua.lua_rawseti(L, lua.LUA_REGISTRYINDEX, place.kit);
  run.machine.arrayMeta = lua.lua_topointer(L, -1);
  lua.lua_rawseti(L, lua.LUA_REGISTRYINDEX, place.array);
}

/** Runs Lua text of our own. Its chunk is named "=host" so that it can be told from a script in a traceback. */
function runOwn(L: LuaState, text: string, pushArguments: () => number, results: number): void {
  const code = compiled.get(text);
  const bytes = code ?? new Uint8Array(Buffer.from(text));
  const name = constantText("=host");
  if (lauxlib.luaL_loadbufferx(L, bytes, bytes.length, name, constantText(code ? "b" : "t")) !== status.ok)
    throw new Error(`the Lua prelude does not load: ${readText(L, -1) ?? "?"}`);
  if (!code) compiled.set(text, dump(L));
  const count = pushArguments();
  if (lua.lua_pcall(L, count, results, 0) !== status.ok)
    throw new Error(`the Lua prelude fails: ${readText(L, -1) ?? "?"}`);
}

/** As lua54/shared-count.ts says. */
function giveCount(L: LuaState): number {
  const co = lua.lua_tothread(L, 1);
  if (co) co.hookcount = L.hookcount;
  return 0;
}

function takeCount(L: LuaState): number {
  const co = lua.lua_tothread(L, 1);
  if (co) L.hookcount = co.hookcount;
  return 0;
}

/** The function on top of the stack as byte code. */
function dump(L: LuaState): Uint8Array {
  const parts: Uint8Array[] = [];
  const write = (_L: LuaState, bytes: Uint8Array, size: number): number => {
    parts.push(bytes.slice(0, size));
    return 0;
  };
  lua.lua_dump(L, write, null, false);
  return new Uint8Array(Buffer.concat(parts));
}

/** An error of JavaScript inside the engine as an error of Lua: its stack and its strings have an end. */
function nativeError(L: LuaState): number {
  const error = lua.lua_touserdata(L, 1);
  if (error instanceof RangeError)
    pushText(L, /call stack/i.test(error.message) ? "stack overflow" : notEnoughMemory);
  else pushText(L, `the Lua engine failed: ${error instanceof Error ? error.message : String(error)}`);
  return 1;
}
