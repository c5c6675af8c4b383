import { createHash } from "node:crypto";
import { basename, dirname, extname, resolve } from "node:path";
import type { Plugin } from "rollup";

/**
 * A bundler does not follow `new URL("./worker.ts", import.meta.url)`: the worker's file would be missing from the
 * output. In modules that start a Worker, each such file becomes a chunk of its own and the URL that chunk's.
 */
export function workerChunks(): Plugin {
  return {
    name: "happyview:worker-chunks",
    transform(code, id) {
      if (!code.includes("new Worker(")) return null;
      const found = code.replace(urlOfFile, (_, _quote, path: string) => {
        const target = resolve(dirname(id), id.endsWith(".ts") ? path : path.replace(/\.ts$/, ".js"));
        const fileName = `workers/${nameOf(target)}.mjs`;
        this.emitFile({ type: "chunk", id: target, fileName });
        // Nitro makes import.meta.url that of the entry, which lies beside the folder of workers.
        return `new URL("./${fileName}", import.meta.url)`;
      });
      return found === code ? null : { code: found, map: null };
    },
  };
}

const urlOfFile = /new URL\(\s*(["'])(\.{1,2}\/[^"']+)\1\s*,\s*import\.meta\.url\s*\)/g;

/** Worker files are often all called `main`. */
function nameOf(path: string): string {
  return `${basename(path, extname(path))}-${createHash("sha256").update(path).digest("hex").slice(0, 8)}`;
}
