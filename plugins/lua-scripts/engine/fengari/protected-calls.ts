import { lauxlib, lua, status, type, type LuaState } from "./lua.ts";
import { constantText } from "./text.ts";

const allResults = -1;

/**
 * `pcall` and `xpcall` that leave the hook on. Fengari's own lose it with the first error they catch (in lua_pcallk it
 * masks the flag that says whether hooks were allowed where it must set it), and with it every limit of the script.
 */
export function installProtectedCalls(L: LuaState): void {
  lua.lua_pushcfunction(L, pcall);
  lua.lua_setglobal(L, constantText("pcall"));
  lua.lua_pushcfunction(L, xpcall);
  lua.lua_setglobal(L, constantText("xpcall"));
}

function pcall(L: LuaState): number {
  if (lua.lua_gettop(L) === 0) lauxlib.luaL_argerror(L, 1, constantText("value expected"));
  lua.lua_pushboolean(L, true);
  lua.lua_insert(L, 1);
  return finish(L, lua.lua_pcallk(L, lua.lua_gettop(L) - 2, allResults, 0, 0, finish), 0);
}

function xpcall(L: LuaState): number {
  const count = lua.lua_gettop(L);
  lauxlib.luaL_checktype(L, 2, type.function);
  lua.lua_pushboolean(L, true);
  lua.lua_pushvalue(L, 1);
  lua.lua_rotate(L, 3, 2);
  return finish(L, lua.lua_pcallk(L, count - 2, allResults, 2, 2, finish), 2);
}

/** Scripts never run inside a hook, so it is always allowed here. The first `skipped` values are no results. */
function finish(L: LuaState, code: number, skipped: number): number {
  L.allowhook = 1;
  if (code === status.ok || code === status.yield) return lua.lua_gettop(L) - skipped;
  lua.lua_pushboolean(L, false);
  lua.lua_pushvalue(L, -2);
  return 2;
}
