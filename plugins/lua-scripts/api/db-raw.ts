import type { Dialect } from "../../../core/db/database.ts";
import { ScriptError, type HostResult, type ScriptValue } from "../engine/engine.ts";
import { formatFloat } from "../engine/json-float.ts";
import { luaType } from "./db-options.ts";
import { prepareRaw, type RawBatch } from "./db-raw-statements.ts";

/** Integers as bigints, floats as numbers. */
export type RawParam = string | bigint | number;

/** A column's value in a row, as JSON text; undefined for null and for what a script cannot have. */
export type RawCell = string | undefined;

/** Rows of the statements as they come; adding one too many throws. */
export interface RawRows {
  add(columns: readonly string[], cells: readonly RawCell[]): void;
}

export type RawRun = (batch: RawBatch, params: readonly RawParam[], rows: RawRows) => void | Promise<void>;

/** What one call of `db.raw` may take. */
export const rawLimits = { rows: 10_000, bytes: 32 * 1024 * 1024, seconds: 10 } as const;

const maxKept = 200;
const kept = new Map<string, RawBatch>();

/** `db.raw(sql, params)` → rows; the array of a write is empty. */
export function rawCall(
  sql: string,
  params: ScriptValue,
  { backend, raw }: { backend: Dialect; raw: RawRun },
): HostResult | Promise<HostResult> {
  const values = rawParams(params);
  const batch = keep(sql, backend, values.length > 0);
  const rows = collectRows();
  try {
    const done = raw(batch, values, rows);
    if (!done) return { json: rows.json() };
    return done.then(
      () => ({ json: rows.json() }),
      (error: unknown) => {
        throw failed(error);
      },
    );
  } catch (error) {
    throw failed(error);
  }
}

/** A column of a database as JSON text. */
export function cellOf(value: unknown): RawCell {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return String(value);
    case "boolean":
      return String(value);
    case "number":
      // JSON, in which rows travel, has neither infinities nor NaN.
      return Number.isFinite(value) ? formatFloat(value) : undefined;
    default:
      return undefined;
  }
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

function collectRows(): RawRows & { json(): string } {
  const rows: string[] = [];
  let bytes = 0;
  return {
    add(columns, cells) {
      if (rows.length >= rawLimits.rows)
        throw new ScriptError(
          `db.raw query failed: more than ${rawLimits.rows} rows; narrow it, or add a LIMIT`,
        );
      const parts = columns.flatMap((name, i) => {
        const cell = cells[i];
        return cell === undefined ? [] : [`${JSON.stringify(name)}:${cell}`];
      });
      const row = `{${parts.join(",")}}`;
      bytes += row.length;
      if (bytes > rawLimits.bytes)
        throw new ScriptError(
          `db.raw query failed: the rows hold more than ${rawLimits.bytes / 1024 / 1024} MiB; select fewer rows or columns`,
        );
      rows.push(row);
    },
    json: () => `[${rows.join(",")}]`,
  };
}

function failed(cause: unknown): ScriptError {
  if (cause instanceof ScriptError) return cause;
  return new ScriptError(`db.raw query failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}
