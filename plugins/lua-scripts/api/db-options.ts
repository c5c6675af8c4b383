import { FilterError, parseFilter, UnsupportedValue, type Filter } from "../../db-filters/parse.ts";
import { parsePath, pathRule, type FieldPath } from "../../db-filters/path.ts";
import { ScriptError, type ScriptTable, type ScriptValue } from "../engine/engine.ts";

const maxLimit = 100;
const maxOffset = 2 ** 53 - 1;
const columns = ["indexed_at", "did", "uri"] as const;

export interface Sort {
  by: (typeof columns)[number] | FieldPath;
  direction: "ASC" | "DESC";
}

/** The one argument of `db.query` and others. */
export function optionsOf(value: ScriptValue): ScriptTable {
  if (typeof value === "object" && value !== null) return value;
  throw new ScriptError(`error converting Lua ${luaType(value)} to table`);
}

export function requiredText(value: ScriptValue): string {
  const text = optionalText(value);
  if (text === undefined)
    throw new ScriptError(`error converting Lua ${luaType(value)} to String (expected string or number)`);
  return text;
}

/** What is of another type counts as absent (spec 2.7); Lua takes a number for a string. */
export function optionalText(value: ScriptValue): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isInteger(value) ? value.toFixed(1) : String(value);
  return undefined;
}

export function limitOf(value: ScriptValue, whenAbsent: number): number {
  const limit = integerOf(value) ?? BigInt(whenAbsent);
  // A negative limit meant "all rows" on SQLite and an error on Postgres; here a page is never unlimited.
  return limit < 0n || limit > maxLimit ? maxLimit : Number(limit);
}

export function offsetOf(value: ScriptValue): number {
  const offset = integerOf(value) ?? 0n;
  if (offset < 0n) return 0;
  return offset > maxOffset ? maxOffset : Number(offset);
}

/** A bad direction is refused with or without a sort, which alone it applies to. */
export function sortOf(fields: ScriptTable["fields"]): Sort | undefined {
  const name = optionalText(fields.get("sort"));
  const path = name === undefined ? undefined : parsePath(name);
  if (name !== undefined && !path) throw new ScriptError(`invalid sort field: ${pathRule}`);
  const direction = optionalText(fields.get("sortDirection")) ?? "desc";
  if (direction !== "asc" && direction !== "desc")
    throw new ScriptError(`invalid sortDirection '${direction}': must be 'asc' or 'desc'`);
  if (!path) return undefined;
  const by = columns.find((column) => column === path.text) ?? path;
  return { by, direction: direction === "asc" ? "ASC" : "DESC" };
}

export function searchFieldOf(value: ScriptValue): FieldPath {
  const path = parsePath(requiredText(value));
  if (!path) throw new ScriptError(`invalid search field: ${pathRule}`);
  return path;
}

/** A filter that is no table is ignored; `typed` is how the modules of version 3 ask for theirs. */
export function filterOf(value: ScriptValue): Filter | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    return parseFilter(filterInput(value), { typed: value.fields.get("typed") === true });
  } catch (error) {
    if (error instanceof FilterError) throw new ScriptError(error.message, { cause: error });
    throw error;
  }
}

export function luaType(value: ScriptValue): string {
  if (value === undefined) return "nil";
  if (value === null) return "lightuserdata";
  if (typeof value === "object") return "table";
  if (typeof value === "bigint") return "integer";
  return typeof value;
}

/** A numeric string and an integral float count as integers, anything else as absent (spec 2.7). */
function integerOf(value: ScriptValue): bigint | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isInteger(value) ? BigInt(value) : undefined;
  if (typeof value === "string" && /^\s*[+-]?\d{1,18}\s*$/.test(value))
    return BigInt(value.trim().replace("+", ""));
  return undefined;
}

/** A table with a sequence is a group of its items, whatever else it holds but `combine`. */
function filterInput(value: ScriptValue): unknown {
  if (value === null) return new UnsupportedValue("lightuserdata");
  if (typeof value !== "object") return value;
  const { fields, items } = value;
  const isCondition = typeof fields.get("field") === "string";
  if (!isCondition && items.length > 0)
    return { combine: fields.get("combine"), conditions: items.map(filterInput) };
  const input: Record<string, unknown> = Object.create(null) as Record<string, unknown>; // no inherited names
  for (const key of ["field", "op", "combine"]) input[key] = fields.get(key);
  // A key with a value that the host cannot see holds a function, or something like it.
  const given = fields.get("value");
  if (fields.has("value"))
    input["value"] = given === undefined ? new UnsupportedValue("function") : filterInput(given);
  const conditions = fields.get("conditions");
  if (typeof conditions === "object" && conditions !== null)
    input["conditions"] = conditions.items.map(filterInput);
  return input;
}
