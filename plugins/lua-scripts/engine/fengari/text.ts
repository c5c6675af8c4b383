import fengari, { type LuaString } from "fengari";

/** Text of our own as a Lua string, kept for the next call. */
export function constantText(text: string): LuaString {
  return fengari.to_luastring(text, true);
}
