import type { LuaToken } from "./tokens.ts";

/** What an expression is worth as far as its text alone says it. */
export type LuaValue =
  | { kind: "string"; text: string }
  | { kind: "number" | "boolean" | "nil" }
  | { kind: "table"; fields: ReadonlyMap<string, LuaValue>; items: readonly LuaValue[] }
  /** Only the run knows. */
  | { kind: "unknown" };

/** The values that stand behind names where the source is read. */
export type LuaNames = ReadonlyMap<string, LuaValue>;

const opens: ReadonlySet<string> = new Set(["(", "{", "[", "function", "do", "if", "repeat"]);
const closes: ReadonlySet<string> = new Set([")", "}", "]", "end", "until"]);
const maxDepth = 32;

/** Tokens that a call may have, so that many calls within each other take no time. */
const maxReach = 5000;

/** Reads tokens one after the other. */
export class LuaReader {
  readonly #tokens: readonly LuaToken[];
  readonly #names: LuaNames;
  #end = maxReach;
  at = 0;

  constructor(tokens: readonly LuaToken[], names: LuaNames) {
    this.#tokens = tokens;
    this.#names = names;
  }

  /** Reads on from there. */
  moveTo(at: number): void {
    this.at = at;
    this.#end = at + maxReach;
  }

  get token(): LuaToken | undefined {
    return this.at < this.#end ? this.#tokens[this.at] : undefined;
  }

  /** Whether the symbols or names come next; a string is none of them. */
  next(...texts: string[]): boolean {
    return texts.every((text, i) => isWord(this.#tokens[this.at + i], text));
  }

  /** Steps over them if they come next. */
  take(...texts: string[]): boolean {
    const isNext = this.next(...texts);
    if (isNext) this.at += texts.length;
    return isNext;
  }

  /** The arguments of a call, in any of its three forms; undefined where no call follows. */
  callArguments(): LuaValue[] | undefined {
    if (this.token?.kind === "string" || this.next("{")) return [this.#primary(0)];
    if (!this.take("(")) return undefined;
    const values: LuaValue[] = [];
    while (this.token && !this.take(")")) {
      const start = this.at;
      values.push(this.#expression(0));
      this.take(",");
      if (this.at === start) this.at++; // no Lua: reading ends all the same
    }
    return values;
  }

  /** An expression, up to the comma, semicolon or bracket that ends it. */
  #expression(depth: number): LuaValue {
    const value = this.#primary(depth);
    const ends = !this.token || this.next(",") || this.next(";") || this.next("}") || this.next(")");
    if (ends) return value;
    this.#skip();
    return { kind: "unknown" };
  }

  #primary(depth: number): LuaValue {
    const { token } = this;
    const isNegative = this.next("-") && this.#tokens[this.at + 1]?.kind === "number";
    if (isNegative) this.at += 2;
    if (isNegative) return { kind: "number" };
    if (!token || depth >= maxDepth) return { kind: "unknown" };
    if (this.next("{")) return this.#table(depth);
    if (token.kind === "symbol" || opens.has(token.text ?? "")) return { kind: "unknown" };
    this.at++;
    if (token.kind === "number") return { kind: "number" };
    if (token.kind === "string")
      return token.text === undefined ? { kind: "unknown" } : { kind: "string", text: token.text };
    if (token.text === "true" || token.text === "false") return { kind: "boolean" };
    if (token.text === "nil") return { kind: "nil" };
    return this.#names.get(token.text ?? "") ?? { kind: "unknown" };
  }

  #table(depth: number): LuaValue {
    const fields = new Map<string, LuaValue>();
    const items: LuaValue[] = [];
    this.at++;
    while (this.token && !this.take("}")) {
      const start = this.at;
      const key = this.#key();
      const value = this.#expression(depth + 1);
      if (key === undefined) items.push(value);
      else fields.set(key, value);
      if (!this.take(",")) this.take(";");
      if (this.at === start) this.at++;
    }
    return { kind: "table", fields, items };
  }

  /** `name =` or `["name"] =`; any other key in brackets is a name that no option has. */
  #key(): string | undefined {
    const [first, second, third, fourth] = this.#tokens.slice(this.at, this.at + 4);
    if (first?.kind === "name" && isWord(second, "=")) {
      this.at += 2;
      return first.text;
    }
    if (!isWord(first, "[")) return undefined;
    if (second?.kind === "string" && isWord(third, "]") && isWord(fourth, "=")) {
      this.at += 4;
      return second.text ?? "";
    }
    this.at++;
    this.#skip();
    this.take("]");
    this.take("=");
    return "";
  }

  /** To the comma, semicolon or bracket that ends the expression in which it stands. */
  #skip(): void {
    for (let depth = 0; this.token; this.at++) {
      const text = this.token.kind === "string" ? "" : (this.token.text ?? "");
      if (depth === 0 && (closes.has(text) || text === "," || text === ";")) return;
      if (opens.has(text)) depth++;
      else if (closes.has(text)) depth--;
    }
  }
}

export function isWord(token: LuaToken | undefined, text: string): boolean {
  return token !== undefined && token.kind !== "string" && token.text === text;
}
