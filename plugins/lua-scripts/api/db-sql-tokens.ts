import type { Dialect } from "../../../core/db/database.ts";

/** A piece of SQL that matters: white space and comments are left out, but their text stays where it was. */
export interface Token {
  /** `body` is a dollar-quoted text of Postgres. */
  kind: "word" | "quoted" | "string" | "body" | "number" | "param" | "symbol";
  /** Words and quoted names as they are meant, strings and bodies without their quotes, everything else as written. */
  value: string;
  start: number;
  end: number;
}

/** The text is no SQL that can be judged. */
export class SqlTokenError extends Error {
  override name = "SqlTokenError";
}

// Both databases know the white space of ASCII only; every character beyond ASCII belongs to a word.
const space = /[ \t\n\r\f\v]+/y;
const word = /[A-Za-z_\u{80}-\u{10ffff}][\w$\u{80}-\u{10ffff}]*/uy;
const number = /(?:0[xX][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)/y;
const dollarTag = /\$(?:[A-Za-z_\u{80}-\u{10ffff}][\w\u{80}-\u{10ffff}]*)?\$/uy;
const escape = /''|\\(?:x([\da-f]{1,2})|([0-7]{1,3})|u([\da-f]{4})|U([\da-f]{8})|([^]))/gi;
const param = /\$\d+|\?\d*/y;

/** Splits SQL of a dialect as its database does, so that no name hides in what only looks like a comment or a string. */
export function tokenizeSql(sql: string, dialect: Dialect): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  /** How many tokens there are after a string with escapes: a string that goes on with it has them too. */
  let escaped = -1;

  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(sql)?.[0];
  };
  const push = (kind: Token["kind"], end: number, value = sql.slice(at, end)): void => {
    tokens.push({ kind, value, start: at, end });
    at = end;
  };
  const quoted = (kind: Token["kind"], open: number, quote: string, hasEscapes = false): void => {
    const end = endOfQuoted(sql, open, quote, hasEscapes);
    const text = sql.slice(open + 1, end - 1);
    push(kind, end, hasEscapes ? unescaped(text) : text.replaceAll(quote + quote, quote));
    if (hasEscapes) escaped = tokens.length;
  };

  while (at < sql.length) {
    const char = sql[at] ?? "";
    const next = sql[at + 1] ?? "";
    const blank = match(space);
    if (blank !== undefined) at += blank.length;
    else if (char === "-" && next === "-") at = endOfLine(sql, at, dialect);
    else if (char === "/" && next === "*") at = endOfComment(sql, at, dialect);
    else if (char === "'") quoted("string", at, "'", escaped === tokens.length);
    else if (char === '"') quoted("quoted", at, '"');
    else if (char === "`" && dialect === "sqlite") quoted("quoted", at, "`");
    else if (char === "[" && dialect === "sqlite") push("quoted", endOf(sql, at, "]"), undefined);
    else if (dialect === "postgres" && /[eE]/.test(char) && next === "'") quoted("string", at + 1, "'", true);
    else if (/[uU]/.test(char) && next === "&" && /['"]/.test(sql[at + 2] ?? "")) {
      throw new SqlTokenError("db.raw does not allow unicode-escaped identifiers");
    } else if (dialect === "postgres" && match(dollarTag) !== undefined) {
      const tag = match(dollarTag) ?? "";
      const close = sql.indexOf(tag, at + tag.length);
      if (close < 0) throw unterminated("dollar-quoted string", at);
      push("body", close + tag.length, sql.slice(at + tag.length, close));
    } else {
      const mark = isPlaceholder(sql, at, dialect) ? match(param) : undefined;
      const name = match(word);
      const digits = match(number);
      if (mark !== undefined) push("param", at + mark.length);
      else if (name !== undefined) push("word", at + name.length);
      else if (digits !== undefined) push("number", at + digits.length);
      else push("symbol", at + 1);
    }
  }
  for (const token of tokens)
    if (token.kind === "quoted" && sql[token.start] === "[")
      token.value = sql.slice(token.start + 1, token.end - 1);
  return tokens;
}

/** Postgres has operators that begin with or hold a question mark: `?|`, `?&`, `@?`. */
function isPlaceholder(sql: string, at: number, dialect: Dialect): boolean {
  if (sql[at] !== "?") return true;
  return dialect === "sqlite" || !(/[|&?]/.test(sql[at + 1] ?? "") || /[@?]/.test(sql[at - 1] ?? ""));
}

function endOfQuoted(sql: string, open: number, quote: string, hasEscapes: boolean): number {
  for (let at = open + 1; at < sql.length; at++) {
    if (hasEscapes && sql[at] === "\\") at++;
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  throw unterminated(quote === "'" ? "string literal" : "quoted identifier", open);
}

function endOf(sql: string, start: number, close: string): number {
  const end = sql.indexOf(close, start);
  if (end < 0) throw unterminated("quoted identifier", start);
  return end + 1;
}

/** A carriage return ends a line on Postgres only. */
function endOfLine(sql: string, start: number, dialect: Dialect): number {
  const end = sql.slice(start).search(dialect === "postgres" ? /[\r\n]/ : /\n/);
  return end < 0 ? sql.length : start + end;
}

/** What a string with escapes means; one that means no character is left out. */
function unescaped(text: string): string {
  return text.replace(escape, (all, hex, octal, short, long, char) => {
    if (all === "''") return "'";
    if (char !== undefined)
      return { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" }[String(char)] ?? String(char);
    const code = octal === undefined ? parseInt(hex ?? short ?? long, 16) : parseInt(octal, 8);
    return code <= 0x10ffff ? String.fromCodePoint(code) : "";
  });
}

/** Comments nest on Postgres and do not on SQLite: what ends one there may still be inside here. */
function endOfComment(sql: string, start: number, dialect: Dialect): number {
  let depth = 0;
  for (let at = start; at < sql.length - 1; at++) {
    const pair = sql.slice(at, at + 2);
    if (pair === "*/") {
      depth -= 1;
      if (depth === 0) return at + 2;
      at++;
    } else if (pair === "/*" && (depth === 0 || dialect === "postgres")) {
      depth += 1;
      at++;
    }
  }
  throw unterminated("comment", start);
}

function unterminated(what: string, at: number): SqlTokenError {
  return new SqlTokenError(`db.raw could not parse SQL: unterminated ${what} at character ${at + 1}`);
}
