import { createClock } from "../../../core/clock.ts";
import { ScriptError, type HostApi, type ScriptValue } from "../engine/engine.ts";
import { createTids } from "./tid.ts";

export interface UtilityOptions {
  /** Unix time in milliseconds, with a fraction where there is one. */
  now: () => number;
  /** A number from 0 up to 1. */
  random: () => number;
}

/** What every script of every kind may call, also while it is validated: `now`, `log`, `print` and `TID`. */
export function createUtilities(options: UtilityOptions): HostApi {
  const clock = createClock(options.now);
  const tids = createTids(options);
  return {
    now: () => clock.timestamp(),
    log: ([message], run) => {
      run.log({ message: toText("log", message) });
      return undefined;
    },
    print: ([line], run) => {
      run.print(toText("print", line));
      return undefined;
    },
    TID: () => tids.next(),
    "TID.toISO8601": ([tid]) => tids.toIso(toText("toISO8601", tid)),
    "TID.fromISO8601": ([text]) => tids.fromIso(toText("fromISO8601", text)),
    "TID.toUnixMicroseconds": ([tid]) => tids.toMicros(toText("toUnixMicroseconds", tid)),
    "TID.fromUnixMicroseconds": ([micros]) => tids.fromMicros(toInteger("fromUnixMicroseconds", micros)),
    "TID.toNumber": ([tid]) => tids.toNumber(toText("toNumber", tid)),
    "TID.fromNumber": ([number]) => tids.fromNumber(toInteger("fromNumber", number)),
  };
}

/** Lua's own rule for a string argument: numbers are taken, nothing else is. */
export function toText(name: string, value: ScriptValue): string {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isInteger(value) ? value.toFixed(1) : String(value);
  throw new ScriptError(`bad argument #1 to '${name}' (string expected, got ${typeName(value)})`);
}

function toInteger(name: string, value: ScriptValue): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (typeof value === "string" && /^\s*-?\d{1,19}\s*$/.test(value)) return BigInt(value.trim());
  const got = typeof value === "number" ? "number without an integer representation" : typeName(value);
  throw new ScriptError(`bad argument #1 to '${name}' (integer expected, got ${got})`);
}

export function typeName(value: ScriptValue): string {
  if (value === undefined) return "nil";
  if (value === null) return "userdata";
  if (typeof value === "object") return "table";
  return typeof value === "bigint" ? "number" : typeof value;
}
