import type { ScriptFailure } from "../engine.ts";
import { cut, limitFailure, lineOf, placed, toTraceback } from "../lua54/failure.ts";
import { hookFunction, hookInterval } from "./entry.ts";
import { lauxlib, lua, notEnoughMemory, readText, status, type, typeNames } from "./lua.ts";
import type { FengariRun } from "./state.ts";
import { constantText } from "./text.ts";

/** What a run that ended with a Lua error says. The error value is on top of its thread, the stack still stands. */
export function describeFailure(run: FengariRun): ScriptFailure {
  const raw = cut(errorText(run));
  const traceback = toTraceback(tracebackText(run), run.request.chunkName);
  if (run.exceeded) return limitFailure(run, raw, traceback);
  const { message, line } = placed(raw, traceback, run);
  if (message === notEnoughMemory)
    return { type: "memory", message, line: line ?? lineOf(traceback, run), traceback };
  return { type: run.phase === "load" ? "syntax" : "runtime", message, line, traceback };
}

/** The error value as text. An error may be a table whose __tostring is the script's, and may refuse. */
function errorText(run: FengariRun): string {
  const { L, thread } = run.machine;
  const plain = readText(thread, -1);
  if (plain !== undefined) return plain;
  const kind = lua.lua_type(thread, -1);
  let text: string | undefined;
  lua.lua_xmove(thread, L, 1);
  if (kind === type.table && lauxlib.luaL_getmetafield(L, -1, constantText("__tostring")) !== type.nil) {
    lua.lua_sethook(L, hookFunction(run), lua.LUA_MASKCOUNT, hookInterval);
    lua.lua_pushvalue(L, -2);
    if (lua.lua_pcall(L, 1, 1, 0) === status.ok) text = readText(L, -1);
  }
  return text ?? `(error object is a ${typeNames[kind] ?? "unknown"} value)`;
}

function tracebackText({ machine: { L, thread } }: FengariRun): string {
  lauxlib.luaL_traceback(L, thread, null, 0);
  return readText(L, -1) ?? "";
}
