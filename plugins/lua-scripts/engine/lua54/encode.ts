import { formatFloat } from "../json-float.ts";
import { type, typeNames } from "./constants.ts";
import { maxDepth } from "./decode.ts";
import { sequenceLength } from "./utf8.ts";
import type { Lua, LuaApi } from "./wasm.ts";

const keptBytes = 256 * 1024;
const hexDigits = "0123456789abcdef";

export class EncodeError extends Error {}

/** The text would be longer than the limit it was given. */
export class TooLargeError extends EncodeError {}

/**
 * Lua values become JSON text, straight from Lua's memory into one buffer. Nothing here allocates in Lua or runs
 * Lua code, so addresses hold while it walks; metatables are ignored but for the mark of an array.
 */
export class Encoder {
  readonly #lua: Lua;
  readonly #api: LuaApi;
  #buffer: Buffer = Buffer.allocUnsafeSlow(keptBytes);
  #at = 0;
  #limit = 0;
  #arrayMeta = 0;
  readonly #path: number[] = [];

  constructor(lua: Lua) {
    this.#lua = lua;
    this.#api = lua.api;
  }

  /** The value on top of the stack; what it returns holds until the next call. */
  encode(L: number, arrayMeta: number, limit: number): Buffer {
    if (this.#buffer.length > keptBytes) this.#buffer = Buffer.allocUnsafeSlow(keptBytes);
    this.#at = 0;
    this.#limit = limit;
    this.#arrayMeta = arrayMeta;
    this.#path.length = 0;
    if (this.#api.lua_checkstack(L, 3 * maxDepth + 8) === 0) throw new EncodeError("the Lua stack is full");
    this.#value(L);
    return this.#buffer.subarray(0, this.#at);
  }

  #value(L: number): void {
    const api = this.#api;
    const kind = api.lua_type(L, -1);
    switch (kind) {
      case type.string:
        return this.#string(L, -1);
      case type.number:
        return this.#number(L);
      case type.table:
        return this.#table(L);
      case type.boolean:
        return this.#word(api.lua_toboolean(L, -1) === 0 ? "false" : "true");
      case type.nil:
        return this.#word("null");
      case type.lightUserdata:
        if (api.lua_touserdata(L, -1) === 0) return this.#word("null");
        throw new EncodeError("deserialize error: unsupported value type `lightuserdata`");
      default:
        throw new EncodeError(
          `deserialize error: unsupported value type \`${typeNames[kind] ?? "unknown"}\``,
        );
    }
  }

  #table(L: number): void {
    const api = this.#api;
    const address = api.lua_topointer(L, -1);
    if (this.#path.includes(address)) throw new EncodeError("deserialize error: recursive table detected");
    if (this.#path.length >= maxDepth)
      throw new EncodeError(`deserialize error: tables are nested deeper than ${maxDepth}`);
    this.#path.push(address);
    const length = Number(api.lua_rawlen(L, -1));
    if (length > 0 || this.#isArray(L)) this.#elements(L, length);
    else this.#members(L);
    this.#path.pop();
  }

  #isArray(L: number): boolean {
    if (this.#api.lua_getmetatable(L, -1) === 0) return false;
    const marked = this.#api.lua_topointer(L, -1) === this.#arrayMeta;
    this.#api.lua_settop(L, -2);
    return marked;
  }

  #elements(L: number, length: number): void {
    this.#put(0x5b);
    for (let i = 1; i <= length; i++) {
      if (i > 1) this.#put(0x2c);
      this.#api.lua_rawgeti(L, -1, BigInt(i));
      this.#value(L);
      this.#api.lua_settop(L, -2);
    }
    this.#put(0x5d);
  }

  #members(L: number): void {
    const api = this.#api;
    const starts: number[] = [];
    this.#put(0x7b);
    api.lua_pushnil(L);
    while (api.lua_next(L, -2) !== 0) {
      starts.push(this.#at);
      // lua_tolstring would turn a number key into a string inside the table and confuse lua_next.
      if (api.lua_type(L, -2) !== type.string) this.#badKey(L);
      this.#string(L, -2);
      this.#put(0x3a);
      this.#value(L);
      this.#put(0x2c);
      api.lua_settop(L, -2);
    }
    if (starts.length > 1) this.#sort(starts);
    if (starts.length > 0) this.#at--;
    this.#put(0x7d);
  }

  /** Lua's order of keys is a matter of chance; ours is that of the original, whose JSON objects are sorted maps. */
  #sort(starts: number[]): void {
    const buffer = this.#buffer;
    const compare = (a: number, b: number): number => {
      // Keys of one table differ before their closing quotes.
      while (buffer[a] === buffer[b] && a !== b) {
        a++;
        b++;
      }
      return (buffer[a] ?? 0) - (buffer[b] ?? 0);
    };
    const from = starts[0] ?? 0;
    const ends = new Map(starts.map((start, i) => [start, starts[i + 1] ?? this.#at]));
    const order = starts.toSorted(compare);
    if (order.every((start, i) => start === starts[i])) return;
    const copy = Buffer.concat(order.map((start) => buffer.subarray(start, ends.get(start))));
    copy.copy(buffer, from);
  }

  #badKey(L: number): never {
    const api = this.#api;
    const kind = api.lua_type(L, -2);
    const number = (): string =>
      api.lua_isinteger(L, -2) === 0
        ? `floating point \`${formatFloat(api.lua_tonumberx(L, -2, 0))}\``
        : `integer \`${api.lua_tointegerx(L, -2, 0)}\``;
    const found =
      kind === type.number
        ? number()
        : kind === type.boolean
          ? `boolean \`${api.lua_toboolean(L, -2) === 1}\``
          : (typeNames[kind] ?? "unknown");
    throw new EncodeError(`deserialize error: invalid type: ${found}, expected a string key`);
  }

  #number(L: number): void {
    if (this.#api.lua_isinteger(L, -1) === 1) {
      const value = this.#api.lua_tointegerx(L, -1, 0);
      return this.#word(value.toString());
    }
    this.#word(formatFloat(this.#api.lua_tonumberx(L, -1, 0)));
  }

  #string(L: number, index: number): void {
    const { address: from, length } = this.#lua.string(L, index);
    const bytes = this.#lua.heap.u8;
    const end = from + length;
    this.#reserve(length + 2);
    const out = this.#buffer;
    let at = this.#at;
    out[at++] = 0x22;
    for (let i = from; i < end; i++) {
      const byte = bytes[i] ?? 0;
      if (byte >= 0x20 && byte < 0x80 && byte !== 0x22 && byte !== 0x5c) {
        out[at++] = byte;
        continue;
      }
      if (byte < 0x80) {
        this.#at = at;
        this.#escape(byte, end - i);
        return this.#rest(i + 1, end);
      }
      const sequence = sequenceLength(bytes, i, end);
      if (sequence === 0) throw invalidText();
      for (let k = 0; k < sequence; k++) out[at++] = bytes[i + k] ?? 0;
      i += sequence - 1;
    }
    out[at++] = 0x22;
    this.#at = at;
  }

  /** The slow part of a string: behind its first escape the output is longer than the input. */
  #rest(from: number, end: number): void {
    const bytes = this.#lua.heap.u8;
    for (let i = from; i < end; i++) {
      const byte = bytes[i] ?? 0;
      if (byte < 0x20 || byte === 0x22 || byte === 0x5c) {
        this.#escape(byte, end - i);
        continue;
      }
      const sequence = sequenceLength(bytes, i, end);
      if (sequence === 0) throw invalidText();
      for (let k = 0; k < sequence; k++) this.#buffer[this.#at++] = bytes[i + k] ?? 0;
      i += sequence - 1;
    }
    this.#buffer[this.#at++] = 0x22;
  }

  /** Writes the escape and keeps room for the `left` bytes behind it. */
  #escape(byte: number, left: number): void {
    this.#reserve(left + 8);
    const letter = escapeLetter(byte);
    this.#buffer[this.#at++] = 0x5c;
    if (letter !== undefined) {
      this.#buffer[this.#at++] = letter;
      return;
    }
    for (const char of ["u", "0", "0", hexDigits[byte >> 4] ?? "0", hexDigits[byte & 15] ?? "0"])
      this.#buffer[this.#at++] = char.charCodeAt(0);
  }

  #word(text: string): void {
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) this.#buffer[this.#at++] = text.charCodeAt(i);
  }

  #put(byte: number): void {
    if (this.#at >= this.#buffer.length) this.#reserve(1);
    this.#buffer[this.#at++] = byte;
  }

  #reserve(bytes: number): void {
    const wanted = this.#at + bytes;
    if (wanted > this.#limit)
      throw new TooLargeError(`the value is larger than ${this.#limit} bytes of JSON`);
    if (wanted <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

function invalidText(): EncodeError {
  return new EncodeError("deserialize error: invalid type: byte array, expected any valid JSON value");
}

function escapeLetter(byte: number): number | undefined {
  switch (byte) {
    case 0x22:
    case 0x5c:
      return byte;
    case 8:
      return 0x62;
    case 9:
      return 0x74;
    case 10:
      return 0x6e;
    case 12:
      return 0x66;
    case 13:
      return 0x72;
    default:
      return undefined;
  }
}
