import type { Dialect } from "../../../core/db/database.ts";
import {
  ScriptError,
  type HostResult,
  type RawBudget,
  type RawLimitName,
  type ScriptValue,
} from "../engine/engine.ts";
import { luaType } from "./db-options.ts";
import type { RawAnswer, RawLimits } from "./db-raw-rows.ts";
import { prepareRaw, type RawBatch } from "./db-raw-statements.ts";

/** Integers as bigints, floats as numbers. */
export type RawParam = string | bigint | number;

/** Runs the statements within the limits; never rejects. */
export type RawRun = (batch: RawBatch, params: readonly RawParam[], limits: RawLimits) => Promise<RawAnswer>;

const maxKept = 200;
const kept = new Map<string, RawBatch>();
/** Timers and Postgres know no more. */
const maxMilliseconds = 2 ** 31 - 1;

/** `db.raw(sql, params)` → rows; the array of a write is empty. */
export function rawCall(
  sql: string,
  params: ScriptValue,
  { backend, raw }: { backend: Dialect; raw: RawRun },
  budget: RawBudget,
): Promise<HostResult> {
  const values = rawParams(params);
  const batch = keep(sql, backend, values.length > 0);
  const { limits, used, isPerCall } = budget;
  const left = limits.rawMilliseconds - (isPerCall ? 0 : used.rawMilliseconds);
  budget.onCall();
  return raw(batch, values, {
    rawRows: limits.rawRows,
    rawBytes: limits.rawBytes,
    rawMilliseconds: Math.min(left, maxMilliseconds),
  }).then((answer) => resultOf(answer, budget));
}

function resultOf(answer: RawAnswer, { limits, used, isPerCall }: RawBudget): HostResult {
  const { rawRows, rawBytes, rawMilliseconds } = answer.used;
  used.rawRows = Math.max(used.rawRows, rawRows);
  used.rawBytes = Math.max(used.rawBytes, rawBytes);
  used.rawMilliseconds = isPerCall
    ? Math.max(used.rawMilliseconds, rawMilliseconds)
    : used.rawMilliseconds + rawMilliseconds;
  if ("json" in answer) return { json: answer.json };
  if ("error" in answer) throw new ScriptError(`db.raw query failed: ${answer.error}`);
  const message = `db.raw query failed: ${passedText[answer.passed](limits[answer.passed])}`;
  throw new ScriptError(message, { limit: answer.passed });
}

const passedText: Record<RawLimitName, (limit: number) => string> = {
  rawRows: (limit) => `more than ${limit} rows; narrow it, or add a LIMIT`,
  rawBytes: (limit) => `the rows hold more than ${sizeText(limit)}; select fewer rows or columns`,
  rawMilliseconds: (limit) => `it took longer than ${limit / 1000} s`,
};

function sizeText(bytes: number): string {
  const mebibytes = bytes / 1024 / 1024;
  return Number.isInteger(mebibytes) ? `${mebibytes} MiB` : `${bytes} bytes`;
}

/** The sequence up to its first nil. */
function rawParams(value: ScriptValue): RawParam[] {
  if (typeof value !== "object" || value === null) return [];
  const params: RawParam[] = [];
  for (const [index, item] of value.items.entries()) {
    const opaque = value.opaque?.get(index);
    if (opaque !== undefined) throw new ScriptError(`unsupported parameter type: ${opaque}`);
    if (item === undefined) break;
    if (typeof item === "boolean") params.push(item ? 1n : 0n);
    else if (item === null || typeof item === "object")
      throw new ScriptError(`unsupported parameter type: ${luaType(item)}`);
    else params.push(item);
  }
  return params;
}

/** Scripts run the same few statements over and over. */
function keep(sql: string, backend: Dialect, hasParams: boolean): RawBatch {
  const key = `${hasParams ? "?" : ""}${sql}`;
  const known = kept.get(key);
  if (known) return known;
  const batch = prepareRaw(sql, backend, hasParams);
  if (kept.size >= maxKept) kept.clear();
  kept.set(key, batch);
  return batch;
}
