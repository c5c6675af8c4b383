import { getHeapStatistics } from "node:v8";
import { exceed, isOver } from "../lua54/active-run.ts";
import { limitText } from "../lua54/failure.ts";
import { raising } from "./bridge.ts";
import { pushJson, pushMembers } from "./decode.ts";
import { EncodeError, encodeJson } from "./encode.ts";
import { lua, notEnoughMemory, pushText, raise, type, type LuaState } from "./lua.ts";
import { place, type FengariRun } from "./state.ts";
import { constantText } from "./text.ts";

/** Distance of the count hook: the grain of the instruction budget and of the look at the clock. */
export const hookInterval = 1000;
/** Values a thread may have on its stack. Fengari itself stops at a million, when they fill a worker's memory. */
const maxStack = 200_000;
/**
 * Of what the thread's heap may hold (spawn.ts), garbage included. V8 ends the whole process when a thread allocates so
 * fast that it passes the rest before it is stopped.
 */
const heapShare = 0.4;
const hooksPerLook = 8;

const index = { chunk: 1, input: 2, context: 3 } as const;

/**
 * The function every run starts in, inside its coroutine, so that whatever goes wrong (a bad value) is a Lua error.
 * It is called with the compiled chunk; where the script waits, it continues behind the call.
 */
export function entryFunction(run: FengariRun): (L: LuaState) => number {
  const callHandle = (L: LuaState): number => {
    run.phase = "handle";
    if (lua.lua_getglobal(L, constantText("handle")) !== type.function) {
      run.missingHandle = true;
      return 0;
    }
    if (run.loadOnly) return 0;
    lua.lua_pushvalue(L, index.input);
    lua.lua_pushvalue(L, index.context);
    lua.lua_callk(L, 2, 1, 0, takeResult);
    return takeResult(L);
  };
  const takeResult = (L: LuaState): number => {
    const kind = lua.lua_type(L, -1);
    const isTable = kind === type.table;
    if (kind === type.nil) return 0;
    if (!isTable && run.request.onlyTables) {
      run.result = { kind: "value", json: "null", isTable };
      return 0;
    }
    const write = (): number => {
      const json = encodeJson(L, run.machine.arrayMeta, run.request.limits.resultBytes);
      run.result = { kind: "value", json, isTable };
      return 0;
    };
    if (!run.request.isLenient) return raising(L, "", write);
    try {
      return write();
    } catch (error) {
      if (!(error instanceof EncodeError)) throw error;
      run.result = { kind: "value", json: "null", isTable: false };
      return 0;
    }
  };
  return (L) => {
    raising(L, "", () => setGlobals(run, L));
    // The Lua side of the APIs learns what run this is; it may put another value in the place of the input.
    lua.lua_rawgeti(L, lua.LUA_REGISTRYINDEX, place.begin);
    lua.lua_pushvalue(L, index.input);
    lua.lua_pushvalue(L, index.context);
    lua.lua_call(L, 2, 1);
    lua.lua_replace(L, index.input);
    lua.lua_pushvalue(L, index.chunk);
    lua.lua_callk(L, 0, 0, 0, callHandle);
    return callHandle(L);
  };
}

/** Leaves input and context on the stack behind the chunk. */
function setGlobals({ request, machine }: FengariRun, L: LuaState): number {
  lua.lua_pushglobaltable(L);
  pushMembers(L, request.globals, machine.pushArrayMeta);
  lua.lua_settop(L, index.chunk);
  lua.lua_pushglobaltable(L);
  pushText(L, request.input);
  lua.lua_rawget(L, -2);
  lua.lua_replace(L, index.input);
  pushJson(L, request.context, machine.pushArrayMeta);
  lua.lua_getglobal(L, constantText("env"));
  lua.lua_setfield(L, index.context, constantText("env"));
  return 0;
}

/** Every thousand instructions: counts them, looks at the clock and at the depth of the stack. */
export function hookFunction(run: FengariRun): (L: LuaState) => void {
  let hooks = 0;
  const hook = (L: LuaState): void => {
    hooks += 1;
    if (hooks % hooksPerLook === 0 && isHeapFull()) exceed(run, "memoryBytes", notEnoughMemory);
    if (!isOver(run, hookInterval)) {
      if (L.top > maxStack) raise(L, "stack overflow", 0);
      return;
    }
    // From now on it fires at every instruction, so that a script which catches this error gets it again at once.
    lua.lua_sethook(L, hook, lua.LUA_MASKCOUNT, 1);
    raise(L, limitText, 0);
  };
  return hook;
}

function isHeapFull(): boolean {
  // Bun has one heap for all threads, and no ceiling for one of them.
  if (process.versions["bun"] !== undefined) return false;
  const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
  return used > heapShare * most;
}
