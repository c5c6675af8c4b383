/** The part of fengari's C-like API we use. It has no types of its own. */
declare module "fengari" {
  /** A Lua thread. What is in it is fengari's business. */
  interface LuaState {
    readonly top: number;
    /** Fengari's own: 0 while a hook runs. */
    allowhook: number;
    /** Instructions until the next hook. */
    hookcount: number;
    /** What all threads of one state share. */
    readonly l_G: object;
  }

  type LuaString = Uint8Array;
  type LuaFunction = (L: LuaState) => number;
  type Continuation = (L: LuaState, status: number, ctx: number) => number;

  interface LuaApi {
    LUA_MASKCOUNT: number;
    LUA_REGISTRYINDEX: number;
    lua_absindex(L: LuaState, index: number): number;
    lua_atnativeerror(L: LuaState, handler: LuaFunction): unknown;
    lua_callk(L: LuaState, args: number, results: number, ctx: number, k: Continuation | null): void;
    lua_call(L: LuaState, args: number, results: number): void;
    lua_checkstack(L: LuaState, n: number): boolean;
    lua_concat(L: LuaState, n: number): void;
    lua_createtable(L: LuaState, items: number, fields: number): void;
    lua_dump(L: LuaState, writer: DumpWriter, data: unknown, strip: boolean): number;
    lua_error(L: LuaState): never;
    lua_getglobal(L: LuaState, name: LuaString): number;
    lua_getmetatable(L: LuaState, index: number): boolean;
    lua_gettop(L: LuaState): number;
    lua_insert(L: LuaState, index: number): void;
    lua_isinteger(L: LuaState, index: number): boolean;
    lua_newthread(L: LuaState): LuaState;
    lua_next(L: LuaState, index: number): number;
    lua_pcall(L: LuaState, args: number, results: number, handler: number): number;
    lua_pcallk(
      L: LuaState,
      args: number,
      results: number,
      handler: number,
      ctx: number,
      k: Continuation,
    ): number;
    lua_pop(L: LuaState, n: number): void;
    lua_pushboolean(L: LuaState, value: boolean): void;
    lua_pushcfunction(L: LuaState, fn: LuaFunction): void;
    lua_pushglobaltable(L: LuaState): void;
    lua_pushinteger(L: LuaState, value: number): void;
    lua_pushlightuserdata(L: LuaState, value: unknown): void;
    lua_pushnil(L: LuaState): void;
    lua_pushnumber(L: LuaState, value: number): void;
    lua_pushstring(L: LuaState, text: LuaString | string): void;
    lua_pushvalue(L: LuaState, index: number): void;
    lua_rawget(L: LuaState, index: number): number;
    lua_rawgeti(L: LuaState, index: number, n: number): number;
    lua_rawlen(L: LuaState, index: number): number;
    lua_rawset(L: LuaState, index: number): void;
    lua_rawseti(L: LuaState, index: number, n: number): void;
    lua_replace(L: LuaState, index: number): void;
    lua_resume(L: LuaState, from: LuaState | null, args: number): number;
    lua_rotate(L: LuaState, index: number, n: number): void;
    lua_setfield(L: LuaState, index: number, name: LuaString): void;
    lua_setglobal(L: LuaState, name: LuaString): void;
    lua_sethook(L: LuaState, hook: (L: LuaState) => void, mask: number, count: number): void;
    lua_setmetatable(L: LuaState, index: number): void;
    lua_settop(L: LuaState, index: number): void;
    lua_toboolean(L: LuaState, index: number): boolean;
    lua_tocfunction(L: LuaState, index: number): LuaFunction | null;
    lua_tonumber(L: LuaState, index: number): number;
    lua_tothread(L: LuaState, index: number): LuaState | null;
    lua_topointer(L: LuaState, index: number): unknown;
    lua_tostring(L: LuaState, index: number): LuaString | null;
    lua_touserdata(L: LuaState, index: number): unknown;
    lua_type(L: LuaState, index: number): number;
    lua_xmove(from: LuaState, to: LuaState, n: number): void;
    lua_yieldk(L: LuaState, results: number, ctx: number, k: Continuation): number;
  }

  type DumpWriter = (L: LuaState, bytes: Uint8Array, size: number, data: unknown) => number;

  interface LuaAuxiliary {
    luaL_argerror(L: LuaState, argument: number, message: LuaString): never;
    luaL_checkinteger(L: LuaState, argument: number): number;
    luaL_checknumber(L: LuaState, argument: number): number;
    luaL_checkstring(L: LuaState, argument: number): LuaString;
    luaL_checktype(L: LuaState, argument: number, type: number): void;
    luaL_getmetafield(L: LuaState, index: number, name: LuaString): number;
    luaL_loadbufferx(
      L: LuaState,
      text: Uint8Array,
      size: number,
      name: LuaString,
      mode: LuaString | null,
    ): number;
    luaL_newstate(): LuaState;
    luaL_optstring(L: LuaState, argument: number, fallback: LuaString): LuaString;
    luaL_requiref(L: LuaState, name: LuaString, open: LuaFunction, global: boolean): void;
    luaL_tolstring(L: LuaState, index: number): LuaString;
    luaL_traceback(L: LuaState, of: LuaState, message: LuaString | null, level: number): void;
    luaL_where(L: LuaState, level: number): void;
  }

  type Opener =
    | "luaopen_base"
    | "luaopen_coroutine"
    | "luaopen_table"
    | "luaopen_string"
    | "luaopen_utf8"
    | "luaopen_math";

  interface TString {
    tsslen(): number;
  }

  interface TValue {
    /** Of a number. */
    readonly value: number;
    ttisinteger(): boolean;
    setsvalue(text: TString): void;
  }

  /** `fengari/src/lobject.js`: what corrections.ts puts its own in the place of. */
  interface ObjectFunctions {
    /** Turns a number into its text, in place. */
    luaO_tostring(L: LuaState, value: TValue): void;
    luaO_pushvfstring(L: LuaState, format: LuaString, values: readonly unknown[]): LuaString | null;
    /** Puts a string on the stack, after `..` and for errors of the machine itself. */
    setsvalue2s(L: LuaState, index: number, text: TString): void;
  }

  /** `fengari/src/lstring.js` */
  interface StringFunctions {
    luaS_newliteral(L: LuaState, text: string): TString;
  }

  const fengari: {
    lua: LuaApi;
    lauxlib: LuaAuxiliary;
    lualib: Record<Opener, LuaFunction>;
    to_luastring(text: string, cache?: boolean): LuaString;
  };
  export default fengari;
  export type {
    LuaApi,
    LuaAuxiliary,
    LuaState,
    LuaString,
    LuaFunction,
    Continuation,
    ObjectFunctions,
    StringFunctions,
  };
}
