import { lua, pushText, pushWhole, type LuaState } from "./lua.ts";

/** Deep enough for every real document, shallow enough for the stacks of both sides. */
export const maxDepth = 128;

/** What JSON null is in Lua: a truthy userdata that equals itself. */
export const nullValue: object = Object.freeze({ json: "null" });

export class JsonError extends Error {}

const space = /[ \t\n\r]*/y;
const number = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const words: Readonly<Record<string, (L: LuaState) => void>> = {
  true: (L) => lua.lua_pushboolean(L, true),
  false: (L) => lua.lua_pushboolean(L, false),
  null: (L) => lua.lua_pushlightuserdata(L, nullValue),
};
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes of a script as text; what is no UTF-8 is no JSON. */
export function toJsonText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new JsonError("invalid character in a string");
  }
}

/** Pushes the value of the text. Arrays get the metatable that `array` pushes. */
export function pushJson(L: LuaState, text: string, array: (L: LuaState) => void): void {
  const reader = createReader(L, text, array);
  reader.value(0);
  reader.finish();
}

/** Sets the members of the object in the table on top of the stack. */
export function pushMembers(L: LuaState, text: string, array: (L: LuaState) => void): void {
  const reader = createReader(L, text, array);
  reader.members();
  reader.finish();
}

interface Reader {
  value(depth: number): void;
  members(): void;
  finish(): void;
}

function createReader(L: LuaState, text: string, array: (L: LuaState) => void): Reader {
  let at = 0;
  if (!lua.lua_checkstack(L, 3 * maxDepth + 8)) throw new JsonError("the Lua stack is full");

  const fail = (what: string): never => {
    throw new JsonError(at < text.length ? `${what} at character ${at + 1}` : "unexpected end of text");
  };
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  const peek = (): string | undefined => {
    match(space);
    return text[at];
  };
  const expect = (char: string): void => {
    if (peek() !== char) fail(`expected \`${char}\``);
    at++;
  };

  const value = (depth: number): void => {
    const char = peek();
    if (char === '"') return pushText(L, readString());
    if (char === "{" || char === "[") {
      if (depth >= maxDepth) fail("recursion limit exceeded");
      lua.lua_createtable(L, 0, 0);
      return char === "{" ? members(depth) : elements(depth);
    }
    const word = char === "t" ? "true" : char === "f" ? "false" : char === "n" ? "null" : undefined;
    if (word !== undefined && text.startsWith(word, at)) {
      at += word.length;
      return words[word]?.(L);
    }
    readNumber();
  };

  const readString = (): string => {
    const from = at;
    let isPlain = true;
    for (let i = from + 1; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === 0x22) {
        at = i + 1;
        return isPlain ? text.slice(from + 1, i) : unescaped(from, i + 1);
      }
      if (code === 0x5c) i++;
      if (code === 0x5c || code < 0x20) isPlain = false;
    }
    at = text.length;
    return fail("unexpected end of text");
  };

  const unescaped = (from: number, to: number): string => {
    try {
      // Half a surrogate pair is no character: it becomes U+FFFD rather than make a stored record unreadable.
      return (JSON.parse(text.slice(from, to)) as string).toWellFormed(); // it begins and ends with quotes
    } catch {
      at = from;
      return fail("invalid string");
    }
  };

  const readNumber = (): void => {
    const found = match(number);
    if (!found) return fail("expected value");
    if (/\d/.test(text[at] ?? "")) fail("invalid number");
    const result = Number(found[0]);
    if (!Number.isFinite(result)) fail("number out of range");
    const isFloat = found[1] !== undefined || found[2] !== undefined || Object.is(result, -0);
    if (isFloat) lua.lua_pushnumber(L, result);
    else pushWhole(L, result);
  };

  const members = (depth: number): void => {
    at++;
    if (peek() === "}") return void at++;
    for (;;) {
      if (peek() !== '"') fail("a key must be a string");
      pushText(L, readString());
      expect(":");
      value(depth + 1);
      lua.lua_rawset(L, -3);
      if (!more("}")) return;
    }
  };

  const elements = (depth: number): void => {
    array(L);
    lua.lua_setmetatable(L, -2);
    at++;
    if (peek() === "]") return void at++;
    for (let index = 1; ; index++) {
      value(depth + 1);
      lua.lua_rawseti(L, -2, index);
      if (!more("]")) return;
    }
  };

  /** After an element: true behind a comma, false behind the closing bracket. */
  const more = (close: string): boolean => {
    const char = peek();
    if (char !== "," && char !== close) fail("expected `,` or a closing bracket");
    at++;
    return char === ",";
  };

  return {
    value,
    members() {
      if (peek() !== "{") fail("an object is expected");
      members(0);
    },
    finish() {
      if (peek() !== undefined) fail("trailing characters");
    },
  };
}
