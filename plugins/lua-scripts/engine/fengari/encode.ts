import { formatFloat } from "../json-float.ts";
import { maxDepth, nullValue } from "./decode.ts";
import { isLargeWhole, lua, type, typeNames, type LuaState } from "./lua.ts";

export class EncodeError extends Error {}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const special = /["\\]|[^ -\uffff]/;
const specials = /["\\]|[^ -\uffff]/g;

/**
 * The value on top of the stack as JSON text. No Lua code runs meanwhile; metatables are ignored but for the mark of
 * an array.
 */
export function encodeJson(L: LuaState, arrayMeta: unknown, limit: number): string {
  const writer: Writer = { L, arrayMeta, limit, length: 0, path: [] };
  if (!lua.lua_checkstack(L, 3 * maxDepth + 8)) throw new EncodeError("the Lua stack is full");
  return encode(writer);
}

interface Writer {
  L: LuaState;
  arrayMeta: unknown;
  limit: number;
  /** Bytes written so far, for the limit. */
  length: number;
  path: unknown[];
}

function encode(writer: Writer): string {
  const { L } = writer;
  const kind = lua.lua_type(L, -1);
  switch (kind) {
    case type.string:
      return encodeString(writer, -1);
    case type.number:
      return counted(writer, encodeNumber(L, -1));
    case type.table:
      return encodeTable(writer);
    case type.boolean:
      return counted(writer, lua.lua_toboolean(L, -1) ? "true" : "false");
    case type.nil:
      return counted(writer, "null");
    case type.lightUserdata:
      if (lua.lua_touserdata(L, -1) === nullValue) return counted(writer, "null");
      throw new EncodeError("deserialize error: unsupported value type `lightuserdata`");
    default:
      throw new EncodeError(`deserialize error: unsupported value type \`${typeNames[kind] ?? "unknown"}\``);
  }
}

/** A float beyond 32 bits that is a whole number stands for an integer (see `isLargeWhole`). */
function encodeNumber(L: LuaState, index: number): string {
  const value = lua.lua_tonumber(L, index);
  return lua.lua_isinteger(L, index) || isLargeWhole(value) ? String(value) : formatFloat(value);
}

function encodeTable(writer: Writer): string {
  const { L, path } = writer;
  const table = lua.lua_topointer(L, -1);
  if (path.includes(table)) throw new EncodeError("deserialize error: recursive table detected");
  if (path.length >= maxDepth)
    throw new EncodeError(`deserialize error: tables are nested deeper than ${maxDepth}`);
  path.push(table);
  const length = lua.lua_rawlen(L, -1);
  const text = length > 0 || isArray(writer) ? encodeElements(writer, length) : encodeMembers(writer);
  path.pop();
  return text;
}

function isArray({ L, arrayMeta }: Writer): boolean {
  if (!lua.lua_getmetatable(L, -1)) return false;
  const isMarked = lua.lua_topointer(L, -1) === arrayMeta;
  lua.lua_pop(L, 1);
  return isMarked;
}

function encodeElements(writer: Writer, length: number): string {
  const { L } = writer;
  const parts: string[] = [];
  for (let i = 1; i <= length; i++) {
    counted(writer, ",");
    lua.lua_rawgeti(L, -1, i);
    parts.push(encode(writer));
    lua.lua_pop(L, 1);
  }
  return `[${parts.join(",")}]`;
}

function encodeMembers(writer: Writer): string {
  const { L } = writer;
  const members: { key: string; text: string }[] = [];
  lua.lua_pushnil(L);
  while (lua.lua_next(L, -2) !== 0) {
    // lua_tostring would turn a number key into a string inside the table and confuse lua_next.
    if (lua.lua_type(L, -2) !== type.string) throw badKey(L);
    const key = encodeString(writer, -2);
    counted(writer, ":,");
    members.push({ key, text: `${key}:${encode(writer)}` });
    lua.lua_pop(L, 1);
  }
  // The JSON objects of the original are sorted maps, by the bytes of their keys.
  members.sort((a, b) => compareBytes(a.key, b.key));
  return `{${members.map(({ text }) => text).join(",")}}`;
}

/** Code units order surrogates before U+E000, bytes do not. */
function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  // Less the closing quotes: "a" comes before "a!" although a quote is behind an exclamation mark.
  const left = a.slice(0, -1);
  const right = b.slice(0, -1);
  if (!/[\ud800-\udfff]/.test(left + right)) return left < right ? -1 : 1;
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function badKey(L: LuaState): EncodeError {
  const kind = lua.lua_type(L, -2);
  const value = lua.lua_tonumber(L, -2);
  const found =
    kind === type.number
      ? lua.lua_isinteger(L, -2) || isLargeWhole(value)
        ? `integer \`${value}\``
        : `floating point \`${formatFloat(value)}\``
      : kind === type.boolean
        ? `boolean \`${lua.lua_toboolean(L, -2)}\``
        : (typeNames[kind] ?? "unknown");
  return new EncodeError(`deserialize error: invalid type: ${found}, expected a string key`);
}

function encodeString(writer: Writer, index: number): string {
  const bytes = lua.lua_tostring(writer.L, index) ?? new Uint8Array();
  count(writer, bytes.length + 2);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new EncodeError("deserialize error: invalid type: byte array, expected any valid JSON value");
  }
  if (!special.test(text)) return `"${text}"`;
  const escaped = text.replace(specials, escape);
  count(writer, escaped.length - text.length);
  return `"${escaped}"`;
}

function escape(char: string): string {
  return JSON.stringify(char).slice(1, -1);
}

function counted(writer: Writer, text: string): string {
  count(writer, text.length);
  return text;
}

function count(writer: Writer, bytes: number): void {
  writer.length += bytes;
  if (writer.length > writer.limit)
    throw new EncodeError(`the value is larger than ${writer.limit} bytes of JSON`);
}
