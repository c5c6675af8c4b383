/** Values of lua.h 5.4 and the places in the registry that are ours. */
export const type = {
  nil: 0,
  boolean: 1,
  lightUserdata: 2,
  number: 3,
  string: 4,
  table: 5,
  function: 6,
  userdata: 7,
  thread: 8,
} as const;

export const typeNames: readonly string[] =
  "nil boolean userdata number string table function userdata thread".split(" ");

export const status = { ok: 0, yield: 1, runtime: 2, syntax: 3, memory: 4, handler: 5 } as const;

export const maskCount = 8;

export const registry = {
  /** LUA_REGISTRYINDEX: -LUAI_MAXSTACK - 1000 */
  table: -1_001_000,
  globals: 2n,
  thread: 16n,
  array: 17n,
  randomseed: 18n,
  /** The function every run begins with, and what the texts of the APIs get. */
  begin: 19n,
  kit: 20n,
} as const;
