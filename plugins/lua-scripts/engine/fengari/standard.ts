import { formatDate, toCalendar } from "../lua54/calendar.ts";
import { boundStrings } from "./corrections.ts";
import { createFormat } from "./format.ts";
import {
  isLargeWhole,
  lauxlib,
  lua,
  pushText,
  pushWhole,
  raise,
  raiseMemory,
  readText,
  type,
  type LuaState,
} from "./lua.ts";
import { constantText } from "./text.ts";

type Library = Readonly<Record<string, (L: LuaState) => number>>;

/**
 * The parts of the standard library that fengari's own does not serve: `os` (its UTC dates are local, and what it can
 * do besides must not be here), `math.random` (all its states share one generator), `math.tointeger` (of 32 bits),
 * `string.format` (whose numbers are not C's) and `string.rep` (which bounds nothing).
 */
export function installStandard(L: LuaState, seed: readonly [bigint, bigint], memoryBytes: number): void {
  lua.lua_createtable(L, 0, 4);
  lua.lua_setglobal(L, constantText("os"));
  install(L, "os", os);
  install(L, "math", { ...createRandom(seed), tointeger });
  install(L, "string", { rep: createRep(memoryBytes), format: createFormat(ownFormat(L), memoryBytes) });
  boundStrings(L, memoryBytes);
}

function install(L: LuaState, name: string, functions: Library): void {
  lua.lua_getglobal(L, constantText(name));
  for (const [key, fn] of Object.entries(functions)) {
    lua.lua_pushcfunction(L, fn);
    lua.lua_setfield(L, -2, constantText(key));
  }
  lua.lua_pop(L, 1);
}

function ownFormat(L: LuaState): (L: LuaState) => number {
  lua.lua_getglobal(L, constantText("string"));
  pushText(L, "format");
  lua.lua_rawget(L, -2);
  const format = lua.lua_tocfunction(L, -1);
  lua.lua_pop(L, 2);
  if (!format) throw new Error("fengari has no string.format");
  return format;
}

const os: Library = {
  clock(L) {
    lua.lua_pushnumber(L, performance.now() / 1000);
    return 1;
  },
  difftime(L) {
    lua.lua_pushnumber(L, lauxlib.luaL_checknumber(L, 1) - lauxlib.luaL_checknumber(L, 2));
    return 1;
  },
  time(L) {
    if (lua.lua_type(L, 1) <= type.nil) {
      pushWhole(L, Math.floor(Date.now() / 1000));
      return 1;
    }
    lauxlib.luaL_checktype(L, 1, type.table);
    const [year = 0, month = 0, day = 0] = [field(L, "year"), field(L, "month"), field(L, "day")];
    const date = new Date(year, month - 1, day, field(L, "hour", 12), field(L, "min", 0), field(L, "sec", 0));
    const seconds = Math.floor(date.getTime() / 1000);
    if (Number.isNaN(seconds)) raise(L, "time result cannot be represented in this installation");
    writeFields(L, 1, seconds, "local");
    pushWhole(L, seconds);
    return 1;
  },
  date(L) {
    const format = text(lauxlib.luaL_optstring(L, 1, constantText("%c")));
    const seconds =
      lua.lua_type(L, 2) <= type.nil ? Math.floor(Date.now() / 1000) : lauxlib.luaL_checknumber(L, 2);
    if (!Number.isInteger(seconds) || Number.isNaN(new Date(seconds * 1000).getTime()))
      raise(L, "bad argument #2 to 'date' (time out-of-bounds)");
    const zone = format.startsWith("!") ? "utc" : "local";
    const pattern = zone === "utc" ? format.slice(1) : format;
    if (pattern.startsWith("*t")) {
      lua.lua_createtable(L, 0, 9);
      writeFields(L, lua.lua_gettop(L), seconds, zone);
      return 1;
    }
    const unknown = /%(?!E[cCxXyY]|O[deHImMSuUVwWy]|[aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%])(.{0,2})/s.exec(
      pattern.replaceAll("%%", ""),
    );
    if (unknown) raise(L, `bad argument #1 to 'date' (invalid conversion specifier '%${unknown[1] ?? ""}')`);
    pushText(L, formatDate(pattern, toCalendar(BigInt(seconds), zone)));
    return 1;
  },
};

function writeFields(L: LuaState, index: number, seconds: number, zone: "utc" | "local"): void {
  const c = toCalendar(BigInt(seconds), zone);
  const fields = {
    year: c.year,
    month: c.month + 1,
    day: c.day,
    hour: c.hour,
    min: c.minute,
    sec: c.second,
    yday: c.yearday + 1,
    wday: c.weekday + 1,
  };
  for (const [key, value] of Object.entries(fields)) {
    pushWhole(L, value);
    lua.lua_setfield(L, index, constantText(key));
  }
  lua.lua_pushboolean(L, c.dst > 0);
  lua.lua_setfield(L, index, constantText("isdst"));
}

function field(L: LuaState, name: string, fallback?: number): number {
  pushText(L, name);
  lua.lua_rawget(L, 1);
  const kind = lua.lua_type(L, -1);
  const value =
    kind === type.number || kind === type.string ? Number(readText(L, -1) ?? lua.lua_tonumber(L, -1)) : NaN;
  lua.lua_pop(L, 1);
  if (kind === type.nil && fallback !== undefined) return fallback;
  if (kind === type.nil) raise(L, `field '${name}' missing in date table`);
  if (!Number.isInteger(value)) raise(L, `field '${name}' is not an integer`);
  if (Math.abs(value) > 2 ** 31) raise(L, `field '${name}' is out-of-bound`);
  return value;
}

/** An integer beyond 32 bits is a float, and stays one. */
function tointeger(L: LuaState): number {
  const value = lua.lua_type(L, 1) === type.number ? lua.lua_tonumber(L, 1) : Number.NaN;
  if (Number.isInteger(value) && ((value | 0) === value || isLargeWhole(value))) pushWhole(L, value);
  else lua.lua_pushnil(L);
  return 1;
}

/** xorshift128, a generator for each state: what one script seeds, another must not see. */
function createRandom(seed: readonly [bigint, bigint]): Library {
  const state = new Uint32Array(4);
  const reseed = (a: bigint, b: bigint): void => {
    state.set([
      Number(a & 0xffffffffn),
      Number((a >> 32n) & 0xffffffffn),
      Number(b & 0xffffffffn),
      0x9e3779b9,
    ]);
    for (let i = 0; i < 16; i++) next();
  };
  const next = (): number => {
    const [a = 0, b = 0, c = 0, d = 0] = state;
    const t = d ^ (d << 11);
    const e = a ^ (a >>> 19) ^ t ^ (t >>> 8);
    state.set([e, a, b, c]);
    return e >>> 0;
  };
  const fraction = (): number => (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53;
  reseed(...seed);
  return {
    random(L) {
      const count = lua.lua_gettop(L);
      if (count === 0) {
        lua.lua_pushnumber(L, fraction());
        return 1;
      }
      if (count > 2) raise(L, "wrong number of arguments");
      const first = lauxlib.luaL_checkinteger(L, 1);
      if (count === 1 && first === 0) {
        lua.lua_pushinteger(L, next() | 0);
        return 1;
      }
      const [low, high] = count === 1 ? [1, first] : [first, lauxlib.luaL_checkinteger(L, 2)];
      if (low > high) lauxlib.luaL_argerror(L, count, constantText("interval is empty"));
      lua.lua_pushinteger(L, low + Math.floor(fraction() * (high - low + 1)));
      return 1;
    },
    randomseed(L) {
      const value = lua.lua_gettop(L) === 0 ? fraction() * 2 ** 53 : lauxlib.luaL_checknumber(L, 1);
      reseed(BigInt(Number.isFinite(value) ? Math.floor(value) : 0), 0n);
      return 0;
    },
  };
}

function createRep(memoryBytes: number): (L: LuaState) => number {
  return (L) => {
    const piece = lauxlib.luaL_checkstring(L, 1);
    const count = Math.max(0, lauxlib.luaL_checkinteger(L, 2));
    const between = lauxlib.luaL_optstring(L, 3, constantText(""));
    const length = count === 0 ? 0 : piece.length * count + between.length * (count - 1);
    if (length > memoryBytes) raiseMemory(L);
    const unit = between.length === 0 ? piece : Buffer.concat([piece, between]);
    const result = new Uint8Array(length);
    if (unit.length > 0) Buffer.from(result.buffer).fill(unit);
    lua.lua_pushstring(L, result);
    return 1;
  };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
