/** A word of Lua source. `text` of a string is its content, and of one with escapes undefined: no field has any. */
export interface LuaToken {
  kind: "name" | "string" | "number" | "symbol";
  text: string | undefined;
  line: number;
}

const space = /\s+/y;
const comment = /--(?:\[(=*)\[|[^\n]*)/y;
const name = /[A-Za-z_]\w*/y;
const number = /0[xX][\dA-Fa-f.]+(?:[pP][+-]?\d+)?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const quoted = /"((?:\\[^]|[^"\\\n])*)"|'((?:\\[^]|[^'\\\n])*)'/y;
const bracket = /\[(=*)\[\n?/y;
const symbol = /\.\.\.|\.\.|[=~<>]=|<<|>>|\/\/|::|[^]/y;

/** The tokens of a script that loads; of any other text, tokens of some kind. Comments and spaces are left out. */
export function luaTokens(source: string): LuaToken[] {
  const tokens: LuaToken[] = [];
  let at = 0;
  let line = 1;

  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  /** Steps to `end`; without a kind nobody hears of it. */
  const take = (end: number, kind?: LuaToken["kind"], text?: string): void => {
    if (kind) tokens.push({ kind, text, line });
    for (; at < end; at++) if (source[at] === "\n") line++;
  };
  /** Of a long bracket whose content begins at `from`; one that is not closed goes on to the end of the text. */
  const closing = (from: number, level: string): { content: number; end: number } => {
    const content = source.indexOf(`]${level}]`, from);
    return content < 0
      ? { content: source.length, end: source.length }
      : { content, end: content + level.length + 2 };
  };

  const readGap = (): boolean => {
    const found = match(space) ?? match(comment);
    if (!found) return false;
    const end = at + found[0].length;
    take(found[1] === undefined ? end : closing(end, found[1]).end);
    return true;
  };
  const readString = (): boolean => {
    const short = match(quoted);
    const text = short?.[1] ?? short?.[2] ?? "";
    if (short) take(at + short[0].length, "string", text.includes("\\") ? undefined : text);
    if (short) return true;
    const long = match(bracket);
    if (!long) return false;
    const from = at + long[0].length;
    const { content, end } = closing(from, long[1] ?? "");
    take(end, "string", source.slice(from, content));
    return true;
  };
  const read = (kind: LuaToken["kind"], pattern: RegExp): boolean => {
    const found = match(pattern);
    if (found) take(at + found[0].length, kind, found[0]);
    return found !== null;
  };

  // Each of them steps over what it reads, and a symbol is any character.
  while (at < source.length)
    if (!readGap() && !readString() && !read("name", name) && !read("number", number)) read("symbol", symbol);
  return tokens;
}
