import { registry } from "./constants.ts";
import { sequenceLength, writeCodePoint } from "./utf8.ts";
import type { Lua, LuaApi } from "./wasm.ts";

/** Deep enough for every real document, shallow enough for the stacks of both sides. */
export const maxDepth = 128;
const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);

export class JsonError extends Error {}

/**
 * JSON text in wasm memory becomes Lua values on the stack. Strings without escapes are handed to Lua where they
 * lie; the others are unescaped in place, so the text is destroyed. Call it in protected mode only: any push may
 * run out of memory and jump.
 */
export class Decoder {
  readonly #lua: Lua;
  readonly #api: LuaApi;
  #L = 0;
  #start = 0;
  #at = 0;
  #end = 0;
  #arrayMeta = 0;

  constructor(lua: Lua) {
    this.#lua = lua;
    this.#api = lua.api;
  }

  /** Pushes the value of the text. */
  push(L: number, address: number, length: number): void {
    this.#begin(L, address, length);
    this.#value(0);
    this.#finish();
    this.#api.lua_rotate(L, -2, 1);
    this.#api.lua_settop(L, -2);
  }

  /** Sets the members of the object in the table on top of the stack. */
  members(L: number, address: number, length: number): void {
    this.#begin(L, address, length);
    this.#api.lua_rotate(L, -2, 1);
    this.#arrayMeta -= 1; // the table has changed places with it
    this.#space();
    if (this.#byte() !== 0x7b) this.#fail("an object is expected");
    this.#object(0);
    this.#finish();
    this.#api.lua_rotate(L, -2, 1);
    this.#api.lua_settop(L, -2);
  }

  #begin(L: number, address: number, length: number): void {
    this.#L = L;
    this.#start = this.#at = address;
    this.#end = address + length;
    if (this.#api.lua_checkstack(L, 3 * maxDepth + 8) === 0) throw new JsonError("the Lua stack is full");
    this.#api.lua_rawgeti(L, registry.table, registry.array);
    this.#arrayMeta = this.#api.lua_gettop(L);
  }

  #finish(): void {
    this.#space();
    if (this.#at < this.#end) this.#fail("trailing characters");
  }

  #byte(): number {
    return this.#at < this.#end ? (this.#lua.heap.u8[this.#at] ?? -1) : -1;
  }

  #space(): void {
    const bytes = this.#lua.heap.u8;
    while (this.#at < this.#end) {
      const byte = bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #fail(what: string): never {
    throw new JsonError(`${what} at byte ${this.#at - this.#start + 1}`);
  }

  #value(depth: number): void {
    this.#space();
    const byte = this.#byte();
    if (byte === 0x22) return this.#string();
    if (byte === 0x7b || byte === 0x5b) {
      if (depth >= maxDepth) this.#fail("recursion limit exceeded");
      this.#api.lua_createtable(this.#L, 0, byte === 0x7b ? 4 : 0);
      return byte === 0x7b ? this.#object(depth) : this.#array(depth);
    }
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return this.#number();
    if (byte === 0x74 && this.#word("true")) return this.#api.lua_pushboolean(this.#L, 1);
    if (byte === 0x66 && this.#word("false")) return this.#api.lua_pushboolean(this.#L, 0);
    if (byte === 0x6e && this.#word("null")) return this.#api.lua_pushlightuserdata(this.#L, 0);
    this.#fail(byte < 0 ? "unexpected end of text" : "expected value");
  }

  #word(word: string): boolean {
    const bytes = this.#lua.heap.u8;
    if (this.#at + word.length > this.#end) return false;
    for (let i = 0; i < word.length; i++) if (bytes[this.#at + i] !== word.charCodeAt(i)) return false;
    this.#at += word.length;
    return true;
  }

  #object(depth: number): void {
    this.#at++;
    this.#space();
    if (this.#byte() === 0x7d) {
      this.#at++;
      return;
    }
    for (;;) {
      this.#space();
      if (this.#byte() !== 0x22) this.#fail("a key must be a string");
      this.#string();
      this.#space();
      if (this.#byte() !== 0x3a) this.#fail("expected `:`");
      this.#at++;
      this.#value(depth + 1);
      this.#api.lua_rawset(this.#L, -3);
      if (!this.#more(0x7d)) return;
    }
  }

  #array(depth: number): void {
    this.#api.lua_pushvalue(this.#L, this.#arrayMeta);
    this.#api.lua_setmetatable(this.#L, -2);
    this.#at++;
    this.#space();
    if (this.#byte() === 0x5d) {
      this.#at++;
      return;
    }
    for (let index = 1; ; index++) {
      this.#value(depth + 1);
      this.#api.lua_rawseti(this.#L, -2, BigInt(index));
      if (!this.#more(0x5d)) return;
    }
  }

  /** After an element: true behind a comma, false behind the closing bracket. */
  #more(close: number): boolean {
    this.#space();
    const byte = this.#byte();
    if (byte !== 0x2c && byte !== close)
      this.#fail(byte < 0 ? "unexpected end of text" : "expected `,` or a closing bracket");
    this.#at++;
    return byte === 0x2c;
  }

  #string(): void {
    const bytes = this.#lua.heap.u8;
    const from = this.#at + 1;
    let at = from;
    for (; at < this.#end; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === 0x22) {
        this.#at = at + 1;
        this.#api.lua_pushlstring(this.#L, from, at - from);
        return;
      }
      if (byte === 0x5c) return this.#escaped(from, at);
      if (byte < 0x20) break;
      if (byte >= 0x80) {
        const length = sequenceLength(bytes, at, this.#end);
        if (length === 0) break;
        at += length - 1;
      }
    }
    this.#at = at;
    this.#fail(at < this.#end ? "invalid character in a string" : "unexpected end of text");
  }

  /** The rest of a string whose first escape is at `at`. */
  #escaped(from: number, at: number): void {
    const bytes = this.#lua.heap.u8;
    let to = at;
    while (at < this.#end) {
      const byte = bytes[at] ?? 0;
      if (byte === 0x22) {
        this.#at = at + 1;
        this.#api.lua_pushlstring(this.#L, from, to - from);
        return;
      }
      if (byte === 0x5c) {
        const letter = bytes[at + 1] ?? 0;
        if (letter === 0x75) {
          const high = this.#hex(at + 2);
          at += 6;
          // Half a pair alone is no character: it becomes U+FFFD rather than make a stored record unreadable.
          let code = high >= 0xd800 && high <= 0xdfff ? 0xfffd : high;
          if (high >= 0xd800 && high < 0xdc00 && bytes[at] === 0x5c && bytes[at + 1] === 0x75) {
            const low = this.#hex(at + 2);
            if (low >= 0xdc00 && low <= 0xdfff) {
              code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
              at += 6;
            }
          }
          to = writeCodePoint(bytes, to, code);
        } else {
          const plain = unescape(letter);
          this.#at = at;
          if (plain === undefined) this.#fail("invalid escape");
          bytes[to++] = plain;
          at += 2;
        }
        continue;
      }
      const length = byte < 0x20 ? 0 : sequenceLength(bytes, at, this.#end);
      this.#at = at;
      if (length === 0) this.#fail("invalid character in a string");
      for (let i = 0; i < length; i++) bytes[to++] = bytes[at++] ?? 0;
    }
    this.#at = at;
    this.#fail("unexpected end of text");
  }

  #hex(at: number): number {
    const bytes = this.#lua.heap.u8;
    let code = 0;
    for (let i = at; i < at + 4; i++) {
      const byte = i < this.#end ? (bytes[i] ?? 0) : 0;
      const digit = byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57;
      this.#at = i;
      if (digit < 0 || digit > 15 || (byte > 0x39 && digit < 10)) this.#fail("invalid escape");
      code = code * 16 + digit;
    }
    return code;
  }

  #number(): void {
    const bytes = this.#lua.heap.u8;
    const from = this.#at;
    let at = from;
    const negative = bytes[at] === 0x2d;
    if (negative) at++;
    const digits = at;
    let value = 0;
    while (at < this.#end && isDigit(bytes[at])) value = value * 10 + ((bytes[at++] ?? 0) - 0x30);
    const count = at - digits;
    this.#at = at;
    if (count === 0 || (count > 1 && bytes[digits] === 0x30)) this.#fail("invalid number");
    const next = at < this.#end ? bytes[at] : 0;
    if (next === 0x2e || next === 0x65 || next === 0x45) return this.#float(from, at);
    if (negative && value === 0) return this.#api.lua_pushnumber(this.#L, -0);
    if (count <= 15) return this.#api.lua_pushinteger(this.#L, BigInt(negative ? -value : value));
    const text = this.#text(from, at);
    const exact = count <= 19 ? BigInt(text) : maxInt64 + 1n;
    if (exact >= minInt64 && exact <= maxInt64) this.#api.lua_pushinteger(this.#L, exact);
    else this.#finite(Number(text));
  }

  #float(from: number, point: number): void {
    const bytes = this.#lua.heap.u8;
    let at = point;
    const digits = (): void => {
      const first = at;
      while (at < this.#end && isDigit(bytes[at])) at++;
      this.#at = at;
      if (at === first) this.#fail("invalid number");
    };
    if (bytes[at] === 0x2e) {
      at++;
      digits();
    }
    if (at < this.#end && ((bytes[at] ?? 0) | 0x20) === 0x65) {
      at++;
      if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++;
      digits();
    }
    this.#finite(Number(this.#text(from, at)));
  }

  #finite(value: number): void {
    if (!Number.isFinite(value)) this.#fail("number out of range");
    this.#api.lua_pushnumber(this.#L, value);
  }

  #text(from: number, to: number): string {
    return Buffer.from(this.#lua.heap.u8.buffer, from, to - from).toString("latin1");
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function unescape(letter: number): number | undefined {
  switch (letter) {
    case 0x22:
    case 0x5c:
    case 0x2f:
      return letter;
    case 0x62:
      return 8;
    case 0x66:
      return 12;
    case 0x6e:
      return 10;
    case 0x72:
      return 13;
    case 0x74:
      return 9;
    default:
      return undefined;
  }
}
