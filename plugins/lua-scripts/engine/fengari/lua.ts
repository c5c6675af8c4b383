import fengari, { type LuaApi, type LuaAuxiliary, type LuaState } from "fengari";
import { constantText } from "./text.ts";

export const lua: LuaApi = fengari.lua;
export const lauxlib: LuaAuxiliary = fengari.lauxlib;
export type { LuaState };

/** Integers of fengari have 32 bits, and its arithmetic on them wraps. */
export function isInt32(value: number): boolean {
  return (value | 0) === value;
}

/**
 * A whole number for the script: beyond 32 bits it is a float, so that it is never wrapped. Floats hold whole numbers
 * exactly up to 2^53.
 */
export function pushWhole(L: LuaState, value: number): void {
  if (isInt32(value)) lua.lua_pushinteger(L, value);
  else lua.lua_pushnumber(L, value);
}

/** Such a float of the script means an integer, for it cannot have others. */
export function isLargeWhole(value: number): boolean {
  return Number.isInteger(value) && !isInt32(value) && Math.abs(value) <= 2 ** 53 && value !== 0;
}

export function pushText(L: LuaState, text: string): void {
  lua.lua_pushstring(L, new Uint8Array(Buffer.from(text)));
}

/** The string at the index, invalid bytes replaced; undefined for anything but a string. */
export function readText(L: LuaState, index: number): string | undefined {
  if (lua.lua_type(L, index) !== type.string) return undefined;
  const bytes = lua.lua_tostring(L, index);
  return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8") : undefined;
}

/** How deep our own Lua code may lie between a script and a host function. */
const maxHostLevels = 8;

/** Raises a Lua error at the innermost line of the script at or above the level; our own Lua code is passed over. */
export function raise(L: LuaState, message: string, level: 0 | 1 = 1): never {
  for (let at: number = level; ; at++) {
    lauxlib.luaL_where(L, at);
    if (at > maxHostLevels || !(readText(L, -1) ?? "").startsWith("host:")) break;
    lua.lua_pop(L, 1);
  }
  pushText(L, message);
  lua.lua_concat(L, 2);
  return lua.lua_error(L);
}

export const notEnoughMemory = "not enough memory";

/** Without a position, as Lua itself says it. */
export function raiseMemory(L: LuaState): never {
  lua.lua_pushstring(L, constantText(notEnoughMemory));
  return lua.lua_error(L);
}

export const type = {
  nil: 0,
  boolean: 1,
  lightUserdata: 2,
  number: 3,
  string: 4,
  table: 5,
  function: 6,
} as const;

export const typeNames: readonly string[] =
  "nil boolean userdata number string table function userdata thread".split(" ");

export const status = { ok: 0, yield: 1 } as const;
