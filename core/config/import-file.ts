import { createJiti } from "jiti";
import { pathToFileURL } from "node:url";

let loads = 0;

/** Loads a TypeScript or JavaScript file of the project: what it exports. */
export async function importFile(path: string): Promise<unknown> {
  // From source, the file must share our modules instead of getting a second copy from jiti.
  if (!import.meta.url.endsWith(".ts")) return createJiti(path).import(path);
  loads += 1; // a module is cached by its URL: a changed file needs a new one
  return import(`${pathToFileURL(path).href}?load=${loads}`);
}
