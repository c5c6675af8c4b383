import { ScriptError, type HostCall } from "../engine/engine.ts";
import type { CallAnswer, FromWorker } from "./protocol.ts";

/** The worker's side of the calls to the main thread. */
export interface Calls {
  /** The way of one run to the main thread. */
  of(id: number): HostCall;
  isAborted(id: number): boolean;
  answer(id: number, call: number, answer: CallAnswer): void;
  /** Nobody waits for the run: what it waits for fails, and so does every later call. */
  abort(id: number): void;
  /** The run is over. */
  forget(id: number): void;
}

interface Waiting {
  resolve(value: string | undefined): void;
  reject(error: ScriptError): void;
}

interface Run {
  isAborted: boolean;
  waiting: Map<number, Waiting>;
}

export function createCalls(send: (message: FromWorker) => void): Calls {
  const runs = new Map<number, Run>();
  let last = 0;
  const aborted = (): ScriptError => new ScriptError("the run was given up");
  return {
    of(id) {
      const run: Run = { isAborted: false, waiting: new Map() };
      runs.set(id, run);
      return (name, args) => {
        if (run.isAborted) return Promise.reject(aborted());
        const call = ++last;
        const answer = new Promise<string | undefined>((resolve, reject) =>
          run.waiting.set(call, { resolve, reject }),
        );
        send({ kind: "call", id, call, name, args });
        return answer;
      };
    },
    isAborted: (id) => runs.get(id)?.isAborted ?? false,
    answer(id, call, answer) {
      const waiting = runs.get(id)?.waiting.get(call);
      runs.get(id)?.waiting.delete(call);
      if (answer.ok) waiting?.resolve(answer.value);
      else waiting?.reject(new ScriptError(answer.error, { limit: answer.limit }));
    },
    abort(id) {
      const run = runs.get(id);
      if (!run) return;
      run.isAborted = true;
      for (const { reject } of run.waiting.values()) reject(aborted());
      run.waiting.clear();
    },
    forget: (id) => void runs.delete(id),
  };
}
