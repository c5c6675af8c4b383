import { Worker } from "node:worker_threads";
import type { Statements } from "./statements.ts";
import type { Answer, Request } from "./thread.ts";

/** Does one thing with a connection, wherever that is. */
export type Perform = <Name extends keyof Statements>(
  name: Name,
  ...args: Parameters<Statements[Name]>
) => Promise<ReturnType<Statements[Name]>>;

/** The one connection that writes a file. It lives in a thread: while a batch is written, requests are answered. */
export interface Writer {
  perform: Perform;
  close(): Promise<void>;
}

/** @throws the error of SQLite, with its `code` */
export async function openWriter(file: string): Promise<Writer> {
  const { ask } = (thread ??= startThread());
  const database = ++lastDatabase;
  await ask({ kind: "open", database, file });
  return {
    // What `name` gives comes back as it was.
    perform: ((name, ...args) => ask({ kind: "perform", database, name, args })) as Perform,
    close: async () => void (await ask({ kind: "close", database })),
  };
}

interface Thread {
  ask(request: WithoutId<Request>): Promise<unknown>;
}
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

/** All writers of a process share it: it is idle unless one of them writes. */
let thread: Thread | undefined;
let lastDatabase = 0;

function startThread(): Thread {
  // A bundler replaces this expression by the address of the chunk it emits for the worker.
  const entry = new URL("./thread.ts", import.meta.url);
  // Compiled file by file it stays as it is, for a URL is no import that the compiler would rewrite.
  if (!import.meta.url.endsWith(".ts")) entry.pathname = entry.pathname.replace(/\.ts$/, ".js");
  // Without the flags of the process: one like --input-type would keep it from starting.
  const worker = new Worker(entry, { name: "happyview-sqlite", execArgv: [] });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  let ended: Error | undefined;

  function settle(id: number): PromiseWithResolvers<unknown> | undefined {
    const found = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
    return found;
  }

  function end(cause: unknown): void {
    ended ??= new Error("the thread that writes SQLite files has ended", { cause });
    if (thread === started) thread = undefined;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  }

  worker.on("message", (answer: Answer) => {
    if ("error" in answer)
      settle(answer.id)?.reject(Object.assign(new Error(answer.error.message), answer.error));
    else settle(answer.id)?.resolve(answer.value);
  });
  worker.on("error", end);
  worker.on("exit", (code) => end(new Error(`exit code ${code}`)));
  worker.unref();

  const started: Thread = {
    ask(request) {
      if (ended) return Promise.reject(ended);
      const id = ++last;
      const answered = Promise.withResolvers<unknown>();
      if (waiting.size === 0) worker.ref(); // a process does not end before it has written
      waiting.set(id, answered);
      worker.postMessage({ ...request, id }, []);
      return answered.promise;
    },
  };
  return started;
}
