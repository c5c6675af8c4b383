import type { LuaToken } from "./tokens.ts";
import { isWord, type LuaValue } from "./values.ts";

/** More than Lua allows for the locals of a function. */
const maxNames = 250;

/**
 * Names of strings that are written down once: `local statuses = "xyz.statusphere.status"`. A name that gets another
 * value anywhere, by an assignment, as a parameter or in a loop, is none of them.
 */
export function constantsOf(tokens: readonly LuaToken[]): Map<string, LuaValue> {
  const found = new Map<string, LuaValue>();
  const others = new Set<string>();
  for (const [at, token] of tokens.entries()) {
    if (isWord(token, "function")) for (const name of parameters(tokens, at + 1)) others.add(name);
    else if (isWord(token, "for")) for (const name of namesFrom(tokens, at + 1)) others.add(name);
    else if (isWord(token, "local")) {
      const names = namesFrom(tokens, at + 1);
      const [only = ""] = names;
      const text = names.length === 1 ? wholeString(tokens, valueAt(tokens, at + 2)) : undefined;
      if (text === undefined || found.has(only)) for (const name of names) others.add(name);
      else found.set(only, { kind: "string", text });
    } else if (isAssigned(tokens, at)) others.add(token.text ?? "");
  }
  for (const name of others) found.delete(name);
  return found;
}

/** Behind `<const>`, if that is there. */
function valueAt(tokens: readonly LuaToken[], at: number): number {
  return isWord(tokens[at], "<") && isWord(tokens[at + 2], ">") ? at + 3 : at;
}

/** The string behind `=`, when it is all of the expression. */
function wholeString(tokens: readonly LuaToken[], at: number): string | undefined {
  const [sign, value, after] = tokens.slice(at, at + 3);
  if (!isWord(sign, "=") || value?.kind !== "string") return undefined;
  const isOperator =
    after?.kind === "symbol" ? !isWord(after, ";") : isWord(after, "and") || isWord(after, "or");
  return isOperator ? undefined : value.text;
}

/** Of `name(a, b)`, `a.b:name(a, b)` or `(a, b)`. */
function parameters(tokens: readonly LuaToken[], at: number): string[] {
  const open = tokens.slice(at, at + maxNames).findIndex((token) => isWord(token, "("));
  return open < 0 ? [] : namesFrom(tokens, at + open + 1);
}

/** `a, b <const>, c` */
function namesFrom(tokens: readonly LuaToken[], at: number): string[] {
  const names: string[] = [];
  while (names.length < maxNames && tokens[at]?.kind === "name") {
    names.push(tokens[at]?.text ?? "");
    at = valueAt(tokens, at + 1);
    if (!isWord(tokens[at], ",")) break;
    at++;
  }
  return names;
}

/** `name =`, which is a field behind a dot, and behind the brace or comma of a table. */
function isAssigned(tokens: readonly LuaToken[], at: number): boolean {
  const before = tokens[at - 1];
  const isField = [".", "{", ",", ";", "local"].some((text) => isWord(before, text));
  return tokens[at]?.kind === "name" && isWord(tokens[at + 1], "=") && !isField;
}
