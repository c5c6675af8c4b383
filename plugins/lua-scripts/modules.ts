import type { Scripts } from "./scripts.ts";

/** Rows of `scripts/lib/<name>.lua`: `lib:<name>`. */
export const modulePrefix = "lib:";

/** Behind `require`: a name that is written out, and is all of the argument. */
const literal = /^\s*\(?\s*(["'])(internal|happyview|lib)\.([^"'\n]+)\1(?!\s*\.\.)/;
const literalReach = 300;

/**
 * The sources that a script can require, under the names it requires them by: those it and they name, or all of them
 * when one is asked for by a name that only the run knows. Undefined for none.
 */
export function modulesOf(
  body: string,
  scripts: Pick<Scripts, "get" | "list">,
): Record<string, string> | undefined {
  if (!body.includes("require")) return undefined;
  const found = new Map<string, string>();
  const names = (): string[] =>
    scripts.list().flatMap(({ id }) => (id.startsWith(modulePrefix) ? [id.slice(modulePrefix.length)] : []));
  const add = (name: string): void => {
    const source = scripts.get(modulePrefix + name)?.body;
    if (source === undefined || found.has(`lib.${name}`)) return;
    found.set(`lib.${name}`, source);
    follow(source);
  };
  const follow = (source: string): void => {
    for (const { index } of source.matchAll(/\brequire\b/g)) {
      const start = index + "require".length;
      const named = literal.exec(source.slice(start, start + literalReach));
      if (named?.[2] === "lib") add(named[3] ?? "");
      // Any of them may be meant.
      else if (!named) for (const name of names()) add(name);
    }
  };
  follow(body);
  return found.size > 0 ? Object.fromEntries(found) : undefined;
}

/** `lib/text/slug.lua` → `lib:text.slug`; undefined for a path that no `require` could name. */
export function moduleOfPath(path: string): string | undefined {
  const name = /^lib\/((?:[A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]+)\.lua$/.exec(path)?.[1];
  return name === undefined ? undefined : modulePrefix + name.replaceAll("/", ".");
}
