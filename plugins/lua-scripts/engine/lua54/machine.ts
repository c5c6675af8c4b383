import type { HostApi } from "../engine.ts";
import { Arena, type Snapshot } from "./arena.ts";
import { waitMark } from "./bridge.ts";
import { maskCount, registry, status } from "./constants.ts";
import { prelude, validationPrelude } from "./prelude.ts";
import type { SharedCount } from "./shared-count.ts";
import { pushText, readText, type Vm } from "./vm.ts";
import type { OpenFunction } from "./wasm.ts";

/** Distance of the count hook: the grain of the instruction budget and of the look at the clock. */
export const hookInterval = 1000;

const libraries: readonly [name: string, open: OpenFunction][] = [
  ["_G", "luaopen_base"],
  ["coroutine", "luaopen_coroutine"],
  ["table", "luaopen_table"],
  ["os", "luaopen_os"],
  ["string", "luaopen_string"],
  ["utf8", "luaopen_utf8"],
  ["math", "luaopen_math"],
];

/** C function pointers that every state of a module shares. */
export interface Functions {
  hook: number;
  encode: number;
  decode: number;
  setMetatable: number;
  count: SharedCount;
  /** Of solid.ts. */
  solid: number;
  host: readonly [path: string, pointer: number][];
}

/** One Lua state at a fixed address, with the snapshot that makes it fresh. */
export interface Machine {
  /** What Lua's allocations name it by. */
  number: number;
  arena: Arena;
  L: number;
  /** The coroutine every run executes in. */
  thread: number;
  arrayAddress: number;
  pristine: Snapshot;
  /** After loading a script: its chunk is compiled, nothing of it has run. */
  scripts: Map<string, Snapshot>;
}

/** Builders of states; the arenas are found by their number when Lua allocates. */
export interface MachineShop {
  build(forValidation: boolean): Machine;
  /** Gives its memory back. */
  discard(machine: Machine): void;
}

/** Lua text of APIs that is run once with the kit of the prelude, and the globals it makes. */
export interface LuaApiText {
  text: string;
  globals: readonly string[];
}

export function createMachineShop(
  vm: Vm,
  functions: Functions,
  utilities: HostApi,
  apis: readonly LuaApiText[],
): MachineShop {
  const { lua } = vm;
  const arenas = new Map<number, Arena>();
  let built = 0;
  const allocate = lua.pointer(
    (ud, pointer, oldSize, size) =>
      arenas.get(ud as number)?.allocate(pointer as number, oldSize as number, (size as number) >>> 0) ?? 0,
    4,
    true,
  );
  const open = libraries.map(([name, fn]) => ({ name: lua.constant(name), open: lua.openPointer(fn) }));
  const kept = new Set(Object.keys(utilities).map(owner));
  const removed = [
    ...functions.host.map(([path]) => owner(path)).filter((name) => !kept.has(name)),
    ...apis.flatMap(({ globals }) => globals),
  ];

  return {
    build(forValidation) {
      const arena = new Arena(lua);
      const number = ++built;
      arenas.set(number, arena);
      const L = lua.api.lua_newstate(allocate, number);
      if (L === 0) throw new Error("no memory for another Lua state");
      const machine = { number, arena, L, thread: 0, arrayAddress: 0, scripts: new Map<string, Snapshot>() };
      const isBuilt = vm.protect(L, () => {
        for (const library of open) {
          lua.api.luaL_requiref(L, library.name, library.open, 1);
          lua.api.lua_settop(L, -2);
        }
        keepRandomSeed(vm, L);
        installPrelude(vm, functions, machine);
        for (const { text } of apis)
          runChunk(vm, L, text, () => lua.api.lua_rawgeti(L, registry.table, registry.kit) && 1, 0);
        if (forValidation)
          runChunk(vm, L, validationPrelude, () => (pushText(vm, L, removed.join(" ")), 1), 0);
        machine.thread = lua.api.lua_newthread(L);
        lua.api.lua_rawseti(L, registry.table, registry.thread);
      });
      if (!isBuilt) throw new Error("a Lua state could not be built");
      functions.count.learn(L);
      lua.api.lua_sethook(L, functions.hook, maskCount, hookInterval);
      lua.api.lua_sethook(machine.thread, functions.hook, maskCount, hookInterval);
      const pristine = arena.snapshot();
      if (!pristine) throw new Error("a fresh Lua state does not fit its first chunk of memory");
      return { ...machine, pristine };
    },
    discard({ number, arena }) {
      arenas.delete(number);
      arena.dispose();
    },
  };
}

/** A restored state would repeat its random numbers, so every run seeds them anew through this. */
function keepRandomSeed(vm: Vm, L: number): void {
  const { api, constant } = vm.lua;
  api.lua_getglobal(L, constant("math"));
  pushText(vm, L, "randomseed");
  api.lua_rawget(L, -2);
  api.lua_rawseti(L, registry.table, registry.randomseed);
  api.lua_settop(L, 0);
}

function installPrelude(vm: Vm, functions: Functions, machine: { L: number; arrayAddress: number }): void {
  const { api } = vm.lua;
  const { L } = machine;
  const pushArguments = (): number => {
    api.lua_createtable(L, 0, functions.host.length);
    for (const [path, pointer] of functions.host) {
      pushText(vm, L, path);
      api.lua_pushcclosure(L, pointer, 0);
      api.lua_rawset(L, -3);
    }
    api.lua_pushlightuserdata(L, waitMark);
    const { encode, decode, setMetatable, count, solid } = functions;
    for (const pointer of [encode, decode, setMetatable, count.give, count.take, solid])
      api.lua_pushcclosure(L, pointer, 0);
    return 8;
  };
  runChunk(vm, L, prelude, pushArguments, 3);
  api.lua_rawseti(L, registry.table, registry.begin);
  api.lua_rawseti(L, registry.table, registry.kit);
  machine.arrayAddress = api.lua_topointer(L, -1);
  api.lua_rawseti(L, registry.table, registry.array);
}

/** Runs Lua text of our own. Its chunk is named "=?" so that it can be told from a script in a traceback. */
function runChunk(vm: Vm, L: number, text: string, pushArguments: () => number, results: number): void {
  const { api, constant } = vm.lua;
  const { address, length } = vm.scratch.put(text);
  if (api.luaL_loadbufferx(L, address, length, constant("=host"), vm.names.text) !== status.ok)
    throw new Error(`the Lua prelude does not load: ${readText(vm, L, -1) ?? "?"}`);
  const count = pushArguments();
  if (api.lua_pcallk(L, count, results, 0, 0, 0) !== status.ok)
    throw new Error(`the Lua prelude fails: ${readText(vm, L, -1) ?? "?"}`);
}

function owner(path: string): string {
  return path.split(".")[0] ?? path;
}
