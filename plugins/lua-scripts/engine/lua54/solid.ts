import { registry } from "./constants.ts";
import type { Lua } from "./wasm.ts";

/** lua.h: LUA_MULTRET and lua_upvalueindex(1). */
const allResults = -1;
const firstUpvalue = registry.table - 1;
/** More than a lua_Debug has. */
const debugBytes = 128;

export interface Solid {
  /** `solid(f)` in Lua: a C function that calls `f`. */
  wrap: number;
  /** True when the frame at that level is one of those. */
  isWrapper(L: number, level: number): boolean;
}

/**
 * `return http.get(url)` is a tail call: were `http.get` a Lua function, the frame that has the line of the script
 * would be gone before the function can fail. C functions are never called that way. So what a script sees of our Lua
 * code is wrapped in one.
 */
export function createSolid({ api, pointer, constant }: Lua): Solid {
  const finish = pointer((L) => api.lua_gettop(L as number), 3, true);
  const call = pointer(
    (state) => {
      const L = state as number;
      const count = api.lua_gettop(L);
      api.lua_pushvalue(L, firstUpvalue);
      api.lua_rotate(L, 1, 1);
      api.lua_callk(L, count, allResults, 0, finish);
      return api.lua_gettop(L);
    },
    1,
    true,
  );
  const wrap = pointer(
    (L) => {
      api.lua_settop(L as number, 1);
      api.lua_pushcclosure(L as number, call, 1);
      return 1;
    },
    1,
    true,
  );
  const debug = api.malloc(debugBytes);
  const onlyFunction = constant("f");
  return {
    wrap,
    isWrapper(L, level) {
      if (api.lua_getstack(L, level, debug) === 0) return false;
      api.lua_getinfo(L, onlyFunction, debug);
      const isIt = api.lua_tocfunction(L, -1) === call;
      api.lua_settop(L, -2);
      return isIt;
    },
  };
}
