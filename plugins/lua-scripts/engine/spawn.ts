import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import type { WorkerSetup } from "../worker/protocol.ts";

/** Starts a script thread. */
export function spawnWorker(setup: Omit<WorkerSetup, "rawProcess">): Worker {
  keepWasmCode();
  // A bundler replaces these expressions by the addresses of the chunks it emits for the files.
  const entry = compiled(new URL("../worker/main.ts", import.meta.url));
  const rawProcess = compiled(new URL("../worker/raw-process.ts", import.meta.url)).href;
  return new Worker(entry, {
    workerData: { ...setup, rawProcess } satisfies WorkerSetup,
    name: "happyview-scripts",
    // Lua's own memory is outside of this; it bounds what rows and results make JavaScript hold. Fengari's is inside, and
    // looked at by itself.
    resourceLimits: { maxOldGenerationSizeMb: setup.engine === "fengari" ? 768 : 256, stackSizeMb: 4 },
  });
}

/** Compiled file by file it stays as it is, for a URL is no import that the compiler would rewrite. */
function compiled(entry: URL): URL {
  if (!import.meta.url.endsWith(".ts")) entry.pathname = entry.pathname.replace(/\.ts$/, ".js");
  return entry;
}

/**
 * V8 13.6 (Node 24) ends the whole process with SIGSEGV when it frees replaced WebAssembly code of one thread while
 * another comes or goes (WasmEngine::FreeDeadCode below Runtime_TierUpWasmToJSWrapper). Kept, that code costs little: it
 * goes with its module, which is with its thread.
 */
function keepWasmCode(): void {
  if (process.versions["bun"] === undefined) setFlagsFromString("--no-wasm-code-gc");
}
