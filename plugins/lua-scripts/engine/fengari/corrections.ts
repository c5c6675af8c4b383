import { createRequire } from "node:module";
import type { ObjectFunctions, StringFunctions } from "fengari";
import { floatText } from "./decimal.ts";
import { lua, notEnoughMemory, type LuaState } from "./lua.ts";
import { constantText } from "./text.ts";

// Its modules need each other in a circle, which begins in the middle unless the whole of fengari is there before. An
// import is no promise of that: a bundler and Bun choose their own order.
const require = createRequire(import.meta.url);
const lobject = require("fengari/src/lobject.js") as ObjectFunctions; // as described in fengari.d.ts
const lstring = require("fengari/src/lstring.js") as StringFunctions;

// Fengari's virtual machine looks these functions up here whenever it needs them, so that they can be corrected for
// `..` as well. Its version is pinned; both suites of cases tell when another one no longer asks here.
const { luaO_tostring: toText, luaO_pushvfstring: pushFormatted, setsvalue2s: setString } = lobject;

/** A float as text: fengari's is JavaScript's, `Infinity`, `1e-7`, and -0.0 without its sign. */
lobject.luaO_tostring = (L, value) => {
  if (value.ttisinteger()) toText(L, value);
  else value.setsvalue(lstring.luaS_newliteral(L, floatText(value.value)));
};

/** `tostring` comes by this way. */
lobject.luaO_pushvfstring = (L, format, values) => {
  if (format.length !== 2 || format[1] !== "f".charCodeAt(0)) return pushFormatted(L, format, values);
  lua.lua_pushnumber(L, Number(values[0]));
  return lua.lua_tostring(L, -1);
};

/** Only larger strings are worth the look-up. */
const smallBytes = 1024 * 1024;
const ceilings = new WeakMap<object, number>();

/** Bounds each string that `..` makes in the state, which nothing else does. */
export function boundStrings(L: LuaState, bytes: number): void {
  ceilings.set(L.l_G, bytes);
}

lobject.setsvalue2s = (L, index, text) => {
  const length = text.tsslen();
  if (length > smallBytes && length > (ceilings.get(L.l_G) ?? Number.POSITIVE_INFINITY)) {
    // Not by lua_pushstring: the stack of a Lua function has room for the machine, but not for the API.
    pushFormatted(L, constantText(notEnoughMemory), []);
    lua.lua_error(L);
  }
  setString(L, index, text);
};
