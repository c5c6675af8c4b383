import {
  ScriptError,
  type HostApi,
  type HostCall,
  type HostCalls,
  type HostResult,
  type LimitName,
  type ScriptLog,
} from "./engine.ts";

/** More at once make nothing faster, and each holds its arguments in memory. */
const maxPending = 64;

/** The calls of one run: begun at once, waited for by number, in any order. `onLimit` hears of one that passes a limit. */
export function createHostCalls(
  call: HostCall | undefined,
  onLimit: (limit: LimitName, message: string) => void,
): HostCalls {
  const begun = new Map<number, Promise<string | undefined>>();
  let underWay = 0;
  let last = 0;
  return {
    start(name, args) {
      if (!call) throw new ScriptError(`${name} is not available here`);
      if (underWay >= maxPending)
        throw new ScriptError(`${name}: more than ${maxPending} calls are under way at once`);
      const answer = call(name, args);
      underWay++;
      // A script may never ask for the result.
      answer.then(
        () => void underWay--,
        (error: unknown) => {
          underWay--;
          if (error instanceof ScriptError && error.limit) onLimit(error.limit, error.message);
        },
      );
      begun.set(++last, answer);
      return last;
    },
    async finish(number): Promise<HostResult> {
      const answer = begun.get(number);
      if (!answer) throw new ScriptError("there is no such call");
      begun.delete(number);
      const json = await answer;
      return json === undefined ? undefined : { json };
    },
    drop: (number) => void begun.delete(number),
  };
}

/** What the Lua side of the APIs is built on. Scripts never see these: the prelude keeps them for itself. */
export const hostApi: HostApi = {
  "kit.start": ([name, args], { calls }) => BigInt(calls.start(String(name), String(args))),
  "kit.finish": ([call], { calls }) => calls.finish(Number(call)),
  "kit.drop": ([call], { calls }) => {
    calls.drop(Number(call));
    return undefined;
  },
  "kit.note": ([level, message, fields], run) => {
    const line: ScriptLog = { message: String(message) };
    if (isLevel(level)) line.level = level;
    if (typeof fields === "string") line.fields = fields;
    run.log(line);
    return undefined;
  },
  "kit.module": ([name], run) => run.module(String(name)),
  "kit.fail": ([message]) => {
    throw new ScriptError(String(message));
  },
};

function isLevel(level: unknown): level is NonNullable<ScriptLog["level"]> {
  return level === "debug" || level === "info" || level === "warn" || level === "error";
}
