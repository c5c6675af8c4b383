import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import type { WorkerSetup } from "../worker/protocol.ts";

/** Starts a script thread. */
export function spawnWorker(setup: WorkerSetup): Worker {
  keepWasmCode();
  // A bundler replaces this expression by the address of the chunk it emits for the worker.
  const entry = new URL("../worker/main.ts", import.meta.url);
  // Compiled file by file it stays as it is, for a URL is no import that the compiler would rewrite.
  if (!import.meta.url.endsWith(".ts")) entry.pathname = entry.pathname.replace(/\.ts$/, ".js");
  return new Worker(entry, {
    workerData: setup,
    name: "happyview-scripts",
    // Lua's own memory is outside of this; it bounds what rows and results make JavaScript hold. Fengari's is inside, and
    // looked at by itself.
    resourceLimits: { maxOldGenerationSizeMb: setup.engine === "fengari" ? 768 : 256, stackSizeMb: 4 },
  });
}

/**
 * V8 13.6 (Node 24) ends the whole process with SIGSEGV when it frees replaced WebAssembly code of one thread while
 * another comes or goes (WasmEngine::FreeDeadCode below Runtime_TierUpWasmToJSWrapper). Kept, that code costs little: it
 * goes with its module, which is with its thread.
 */
function keepWasmCode(): void {
  if (process.versions["bun"] === undefined) setFlagsFromString("--no-wasm-code-gc");
}
