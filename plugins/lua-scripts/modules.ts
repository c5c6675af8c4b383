import type { Scripts } from "./scripts.ts";

/** Rows of `scripts/lib/<name>.lua`: `lib:<name>`. */
export const modulePrefix = "lib:";

const literal = /\brequire\s*\(?\s*(["'])lib\.([^"'\n]+)\1/g;
/** A name that is put together at run time. */
const computed = /\brequire\s*\(?\s*(?!\s|["'](?:internal|happyview|lib)\.[^"'\n]+["'])/;

/**
 * The sources that a script can require, under the names it requires them by: those it and they name, or all of them
 * when one is asked for by a name that only the run knows. Undefined for none.
 */
export function modulesOf(body: string, scripts: Scripts): Record<string, string> | undefined {
  if (!body.includes("require")) return undefined;
  const found = new Map<string, string>();
  const add = (name: string): void => {
    const source = scripts.get(modulePrefix + name)?.body;
    if (source === undefined || found.has(`lib.${name}`)) return;
    found.set(`lib.${name}`, source);
    follow(source);
  };
  const follow = (source: string): void => {
    if (computed.test(source))
      for (const { id } of scripts.list())
        if (id.startsWith(modulePrefix)) add(id.slice(modulePrefix.length));
    for (const match of source.matchAll(literal)) add(match[2] ?? "");
  };
  follow(body);
  return found.size > 0 ? Object.fromEntries(found) : undefined;
}

/** `lib/text/slug.lua` → `lib:text.slug`; undefined for a path that no `require` could name. */
export function moduleOfPath(path: string): string | undefined {
  const name = /^lib\/((?:[A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]+)\.lua$/.exec(path)?.[1];
  return name === undefined ? undefined : modulePrefix + name.replaceAll("/", ".");
}
