import type { LuaApiText } from "../../engine/lua54/machine.ts";
import { networkApi } from "./network.ts";
import { recordApi } from "./record.ts";
import { requireApi } from "./require.ts";

/** The APIs written in Lua; `require` comes last, for its modules are made of the others. */
export const luaApis: readonly LuaApiText[] = [networkApi, recordApi, requireApi];
