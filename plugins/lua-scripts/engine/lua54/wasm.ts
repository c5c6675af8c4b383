import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createImports } from "./imports.ts";

type Pointer = number;
type State = number;

/** The part of the Lua 5.4 C API we use. lua_Integer is an i64, hence bigint; booleans and pointers are numbers. */
export interface LuaApi {
  memory: WebAssembly.Memory;
  __indirect_function_table: WebAssembly.Table;
  __wasm_call_ctors(): void;
  emscripten_stack_init(): void;
  malloc(size: number): Pointer;
  free(pointer: Pointer): void;
  realloc(pointer: Pointer, size: number): Pointer;
  stackSave(): number;
  stackRestore(pointer: number): void;
  setThrew(threw: number, value: number): void;
  lua_newstate(alloc: Pointer, ud: number): State;
  lua_newthread(L: State): State;
  lua_sethook(L: State, hook: Pointer, mask: number, count: number): void;
  lua_gettop(L: State): number;
  lua_settop(L: State, index: number): void;
  lua_pushvalue(L: State, index: number): void;
  lua_copy(L: State, from: number, to: number): void;
  lua_rotate(L: State, index: number, n: number): void;
  lua_checkstack(L: State, n: number): number;
  lua_xmove(from: State, to: State, n: number): void;
  lua_type(L: State, index: number): number;
  lua_isinteger(L: State, index: number): number;
  lua_rawlen(L: State, index: number): bigint;
  lua_next(L: State, index: number): number;
  lua_concat(L: State, n: number): void;
  lua_tonumberx(L: State, index: number, isnum: Pointer): number;
  lua_tointegerx(L: State, index: number, isnum: Pointer): bigint;
  lua_toboolean(L: State, index: number): number;
  lua_tolstring(L: State, index: number, length: Pointer): Pointer;
  luaL_tolstring(L: State, index: number, length: Pointer): Pointer;
  lua_touserdata(L: State, index: number): Pointer;
  lua_topointer(L: State, index: number): Pointer;
  lua_tocfunction(L: State, index: number): Pointer;
  lua_pushnil(L: State): void;
  lua_pushnumber(L: State, n: number): void;
  lua_pushinteger(L: State, n: bigint): void;
  lua_pushlstring(L: State, text: Pointer, length: number): Pointer;
  lua_pushcclosure(L: State, fn: Pointer, n: number): void;
  lua_pushboolean(L: State, b: number): void;
  lua_pushlightuserdata(L: State, p: Pointer): void;
  lua_createtable(L: State, narr: number, nrec: number): void;
  lua_getmetatable(L: State, index: number): number;
  lua_setmetatable(L: State, index: number): number;
  lua_getglobal(L: State, name: Pointer): number;
  lua_setglobal(L: State, name: Pointer): void;
  lua_rawget(L: State, index: number): number;
  lua_rawgeti(L: State, index: number, n: bigint): number;
  lua_rawset(L: State, index: number): void;
  lua_rawseti(L: State, index: number, n: bigint): void;
  lua_callk(L: State, nargs: number, nresults: number, ctx: number, k: Pointer): void;
  lua_pcallk(L: State, nargs: number, nresults: number, handler: number, ctx: number, k: Pointer): number;
  lua_resume(L: State, from: State, nargs: number, nresults: Pointer): number;
  lua_yieldk(L: State, nresults: number, ctx: number, k: Pointer): number;
  lua_error(L: State): number;
  luaL_typeerror(L: State, arg: number, expected: Pointer): number;
  luaL_getmetafield(L: State, index: number, name: Pointer): number;
  luaL_where(L: State, level: number): void;
  lua_getstack(L: State, level: number, debug: Pointer): number;
  lua_getinfo(L: State, what: Pointer, debug: Pointer): number;
  luaL_traceback(L: State, of: State, message: Pointer, level: number): void;
  luaL_loadbufferx(L: State, text: Pointer, size: number, name: Pointer, mode: Pointer): number;
  luaL_requiref(L: State, name: Pointer, open: Pointer, global: number): void;
}

/** A name of one of the `luaopen_…` functions, which only serve as pointers. */
export type OpenFunction = `luaopen_${"base" | "coroutine" | "table" | "os" | "string" | "utf8" | "math"}`;

/** One instance of the module: its memory holds any number of Lua states. */
export interface Lua {
  api: LuaApi;
  /** Views of the memory. Read them anew after every call that may allocate: growth replaces them. */
  heap: { u8: Uint8Array; u32: Uint32Array };
  /** The string at the index, which must be one: a number there would be converted in place. */
  string(L: State, index: number): { address: Pointer; length: number };
  /** A JavaScript function of 32-bit integers as a C function pointer. */
  pointer(fn: (...args: number[]) => number | void, parameters: number, hasResult: boolean): Pointer;
  openPointer(name: OpenFunction): Pointer;
  /** A zero-terminated string that stays for ever. */
  constant(text: string): Pointer;
}

/**
 * We use wasmoon's build of Lua but not its JavaScript: that brings a virtual file system, `system()` and a
 * wrapper around every call, none of which a sandbox wants.
 */
export function instantiateLua(): Lua {
  const file = createRequire(import.meta.url).resolve("wasmoon/dist/glue.wasm");
  const module = new WebAssembly.Module(readFileSync(file));
  const heap = { u8: new Uint8Array(), u32: new Uint32Array() };
  const refresh = (): void => {
    const buffer = api.memory.buffer;
    heap.u8 = new Uint8Array(buffer);
    heap.u32 = new Uint32Array(buffer);
  };
  const imports = createImports({ heap, api: () => api, refresh });
  const instance = new WebAssembly.Instance(module, imports);
  const api = instance.exports as unknown as LuaApi; // the exports of this wasm file are those of the C API
  refresh();
  api.emscripten_stack_init();
  api.__wasm_call_ctors();
  const lengthAt = api.malloc(8);
  const table = api.__indirect_function_table;
  return {
    api,
    heap,
    string(L, index) {
      const address = api.lua_tolstring(L, index, lengthAt);
      return { address, length: heap.u32[lengthAt >> 2] ?? 0 };
    },
    pointer(fn, parameters, hasResult) {
      const index = table.grow(1);
      table.set(index, toWasmFunction(fn, parameters, hasResult));
      return index;
    },
    openPointer(name) {
      const index = table.grow(1);
      table.set(index, instance.exports[name]);
      return index;
    },
    constant(text) {
      const bytes = new TextEncoder().encode(text);
      const address = api.malloc(bytes.length + 1);
      heap.u8.set(bytes, address);
      heap.u8[address + bytes.length] = 0;
      return address;
    },
  };
}

/** A table entry must be a WebAssembly function, so a module of a few bytes imports ours and exports it again. */
function toWasmFunction(
  fn: (...args: number[]) => number | void,
  parameters: number,
  hasResult: boolean,
): unknown {
  const i32 = 0x7f;
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const inputs = Array.from({ length: parameters }, () => i32);
  const type = [1, 0x60, parameters, ...inputs, ...(hasResult ? [1, i32] : [0])];
  const importIt = [2, 7, 1, 1, 0x65, 1, 0x66, 0, 0]; // e.f becomes function 0, of type 0
  const exportIt = [7, 5, 1, 1, 0x66, 0, 0]; // function 0 as f
  const bytes = [...header, 1, type.length, ...type, ...importIt, ...exportIt];
  const instance = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)), { e: { f: fn } });
  return instance.exports["f"];
}
