import { formatFloat, formatInteger, pad, type Layout } from "./decimal.ts";
import { lauxlib, lua, raise, raiseMemory, type LuaState } from "./lua.ts";
import { constantText } from "./text.ts";

/** Bytes are characters here, one for one. */
type Bytes = string;
type LuaFunction = (L: LuaState) => number;
type Conversion = (L: LuaState, argument: number, layout: Layout) => Bytes;

interface Rule {
  /** Flags it takes, as in Lua 5.4. */
  flags: string;
  hasPrecision: boolean;
  convert: Conversion;
}

const signed: Rule = {
  flags: "-+0 ",
  hasPrecision: true,
  convert: (L, at, layout) => formatInteger(integer(L, at), 10, layout),
};
const unsigned: Rule = {
  ...signed,
  flags: "-0",
  convert: (L, at, layout) => formatInteger(BigInt.asUintN(64, integer(L, at)), 10, layout),
};
const based = (base: 8 | 16): Rule => ({
  flags: "-#0",
  hasPrecision: true,
  convert: (L, at, layout) => formatInteger(integer(L, at), base, layout),
});
const real = (conversion: "e" | "f" | "g"): Rule => ({
  flags: "-+#0 ",
  hasPrecision: true,
  convert: (L, at, layout) => formatFloat(lauxlib.luaL_checknumber(L, at), conversion, layout),
});
const rules: Readonly<Record<string, Rule>> = {
  c: {
    flags: "-",
    hasPrecision: false,
    convert: (L, at, layout) =>
      pad("", String.fromCharCode(lauxlib.luaL_checkinteger(L, at) & 0xff), layout, false),
  },
  d: signed,
  i: signed,
  u: unsigned,
  o: based(8),
  x: based(16),
  e: real("e"),
  f: real("f"),
  g: real("g"),
  s: { flags: "-", hasPrecision: true, convert: text },
};
const upper = new Set(["X", "E", "G"]);

const item = /([-+ #0]*)(\d*)(\.\d*)?(.?)/sy;
const maxDigits = 2;

/**
 * `string.format` of Lua 5.4. Fengari's own makes numbers by a JavaScript package that knows `%g`, flags and widths
 * otherwise than C; it keeps `%q` and `%a`. Results are at most `maxBytes` long.
 */
export function createFormat(own: LuaFunction, maxBytes: number): LuaFunction {
  return (L) => {
    const format = bytesOf(lauxlib.luaL_checkstring(L, 1));
    const count = lua.lua_gettop(L);
    let result: Bytes = "";
    let argument = 1;
    for (let at = 0; at < format.length;) {
      const percent = format.indexOf("%", at);
      if (percent < 0) {
        result += format.slice(at);
        break;
      }
      result += format.slice(at, percent);
      at = percent + 1;
      if (format[at] === "%") {
        result += "%";
        at++;
        continue;
      }
      if (++argument > count) lauxlib.luaL_argerror(L, argument, constantText("no value"));
      item.lastIndex = at;
      const parts = item.exec(format);
      at = item.lastIndex;
      result += convert(L, argument, parts ?? []);
      if (result.length > maxBytes) raiseMemory(L);
    }
    lua.lua_pushstring(L, new Uint8Array(Buffer.from(result, "latin1")));
    return 1;
  };

  function convert(L: LuaState, argument: number, parts: readonly (string | undefined)[]): Bytes {
    const [whole = "", flags = "", width = "", precision, letter = ""] = parts;
    if ("aAq".includes(letter) && letter !== "") return byFengari(L, argument, whole, letter);
    const isUpper = upper.has(letter);
    const rule = rules[isUpper ? letter.toLowerCase() : letter];
    if (!rule) return raise(L, `invalid conversion '%${whole}' to 'format'`);
    const isFit =
      [...flags].every((flag) => rule.flags.includes(flag)) &&
      width.length <= maxDigits &&
      (precision === undefined || (rule.hasPrecision && precision.length <= maxDigits + 1));
    if (!isFit) return raise(L, `invalid conversion specification: '%${whole}'`);
    const converted = rule.convert(L, argument, {
      flags,
      width: Number(width),
      precision: precision === undefined ? undefined : Number(precision.slice(1)),
    });
    return isUpper ? converted.toUpperCase() : converted;
  }

  function byFengari(L: LuaState, argument: number, whole: string, letter: string): Bytes {
    if (letter === "q" && whole !== "q") raise(L, "specifier '%q' cannot have modifiers");
    if (letter !== "q") lauxlib.luaL_checknumber(L, argument);
    lua.lua_pushcfunction(L, own);
    lua.lua_pushstring(L, constantText(`%${letter}`));
    lua.lua_pushvalue(L, argument);
    lua.lua_call(L, 2, 1);
    const bytes = lua.lua_tostring(L, -1) ?? new Uint8Array();
    lua.lua_pop(L, 1);
    return bytesOf(bytes);
  }
}

/** A float that is a whole number is one, too, also beyond the 32 bits of fengari's integers. */
function integer(L: LuaState, argument: number): bigint {
  const value = lauxlib.luaL_checknumber(L, argument);
  const isWhole = Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63;
  return BigInt(isWhole ? value : lauxlib.luaL_checkinteger(L, argument));
}

function text(L: LuaState, argument: number, layout: Layout): Bytes {
  const all = bytesOf(lauxlib.luaL_tolstring(L, argument));
  lua.lua_pop(L, 1);
  const { width, precision } = layout;
  if (width === 0 && precision === undefined) return all;
  if (all.includes("\0")) lauxlib.luaL_argerror(L, argument, constantText("string contains zeros"));
  return pad("", precision === undefined ? all : all.slice(0, precision), layout, false);
}

function bytesOf(bytes: Uint8Array): Bytes {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
