import type { ActiveRun } from "./active-run.ts";
import { status, type } from "./constants.ts";
import { Decoder, JsonError } from "./decode.ts";
import { EncodeError, Encoder } from "./encode.ts";
import { createScratch, type Scratch } from "./scratch.ts";
import { createSolid, type Solid } from "./solid.ts";
import { instantiateLua, type Lua } from "./wasm.ts";

/** One wasm instance with what all its states share. Only one state executes at a time: `active` says for whom. */
export interface Vm {
  lua: Lua;
  decoder: Decoder;
  encoder: Encoder;
  scratch: Scratch;
  solid: Solid;
  /** Names the C API wants as C strings. */
  names: Record<"handle" | "env" | "tostring" | "metatable" | "table" | "nilOrTable" | "text", number>;
  active: ActiveRun | undefined;
  /** Runs JavaScript that allocates in Lua so that a lack of memory comes back as false instead of a panic. */
  protect(L: number, work: (L: number) => void): boolean;
}

export function createVm(): Vm {
  const lua = instantiateLua();
  let work: ((L: number) => void) | undefined;
  const call = lua.pointer(
    (L) => {
      work?.(L as number);
      return 0;
    },
    1,
    true,
  );
  return {
    lua,
    decoder: new Decoder(lua),
    encoder: new Encoder(lua),
    scratch: createScratch(lua),
    solid: createSolid(lua),
    names: {
      handle: lua.constant("handle"),
      env: lua.constant("env"),
      tostring: lua.constant("__tostring"),
      metatable: lua.constant("__metatable"),
      table: lua.constant("table"),
      nilOrTable: lua.constant("nil or table"),
      text: lua.constant("t"),
    },
    active: undefined,
    protect(L, given) {
      work = given;
      lua.api.lua_pushcclosure(L, call, 0);
      const result = lua.api.lua_pcallk(L, 0, 0, 0, 0, 0);
      work = undefined;
      if (result !== status.ok) lua.api.lua_settop(L, -2);
      return result === status.ok;
    },
  };
}

/** Pushes text; the caller is in protected mode. */
export function pushText(vm: Vm, L: number, text: string): void {
  const { address, length } = vm.scratch.put(text);
  vm.lua.api.lua_pushlstring(L, address, length);
}

/** The string at the index, invalid bytes replaced; undefined for anything but a string. */
export function readText(vm: Vm, L: number, index: number): string | undefined {
  const { api, heap, string } = vm.lua;
  if (api.lua_type(L, index) !== type.string) return undefined;
  const { address, length } = string(L, index);
  return Buffer.from(heap.u8.buffer, address, length).toString("utf8");
}

/** How deep our own Lua code may lie between a script and a host function. */
const maxHostLevels = 16;

/**
 * Raises a Lua error with a position; does not return. Level 1 is the Lua code that called the running C function,
 * level 0 the Lua code that runs (inside a hook). The position is one of the script: our own Lua code is passed over.
 */
export function raise(vm: Vm, L: number, message: string, level: 0 | 1 = 1): number {
  const { api } = vm.lua;
  for (let at: number = level; ; at++) {
    api.luaL_where(L, at);
    const where = readText(vm, L, -1) ?? "";
    const isOurs = where === "" ? vm.solid.isWrapper(L, at) : where.startsWith("host:");
    if (at > maxHostLevels || !isOurs) break;
    api.lua_settop(L, -2);
  }
  pushText(vm, L, message);
  api.lua_concat(L, 2);
  return api.lua_error(L);
}

/** Runs the marshalling in `work`; its own errors become Lua errors, everything else passes (it may be a jump). */
export function raising(vm: Vm, L: number, prefix: string, work: () => number): number {
  let message: string;
  try {
    return work();
  } catch (error) {
    if (!(error instanceof JsonError || error instanceof EncodeError)) throw error;
    message = prefix + error.message;
  }
  return raise(vm, L, message);
}
