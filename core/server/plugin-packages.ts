import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Manifest {
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

const packageFolder = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/;

/**
 * Recognises modules of installed packages that are written for us. They are bundled: left outside, they would bring
 * a second copy of us, with its own config loader and bundler.
 */
export function createPluginPackages(): (path: string) => boolean {
  const known = new Map<string, boolean>();
  return (path) => {
    const folder = packageFolder.exec(path.replaceAll("\\", "/"))?.[0];
    if (folder === undefined) return false;
    const is = known.get(folder) ?? dependsOnUs(folder);
    known.set(folder, is);
    return is;
  };
}

function dependsOnUs(folder: string): boolean {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest; // npm keeps its shape
    return "happyview" in { ...manifest.dependencies, ...manifest.peerDependencies };
  } catch {
    return false; // a folder inside of node_modules that is no package
  }
}
