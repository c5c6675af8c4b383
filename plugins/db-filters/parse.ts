import { parsePath, pathRule, type FieldPath } from "./path.ts";

export const operators = ["=", "!=", "<", ">", "<=", ">=", "LIKE", "NOT LIKE"] as const;
export type Operator = (typeof operators)[number] | "ILIKE";
export type FilterValue = string | number | bigint | boolean;

export interface Condition {
  readonly kind: "condition";
  readonly field: FieldPath;
  readonly op: Operator;
  readonly value: FilterValue;
  /** A string is compared with strings alone, as version 3 of the scripts does. */
  readonly isTyped?: true;
}

export interface Group {
  readonly kind: "group";
  readonly combine: "AND" | "OR";
  readonly children: readonly Filter[];
}

export type Filter = Condition | Group;

/** The filter is wrong; the message says how, in HappyView's words. */
export class FilterError extends Error {
  override name = "FilterError";
}

/** Stands for a value that is of no use in a filter, such as a function: its type appears in the message. */
export class UnsupportedValue {
  readonly type: string;
  constructor(type: string) {
    this.type = type;
  }
}

export interface ParseOptions {
  /** Conditions in the whole filter; SQLite's expressions may not be nested deeper than a thousand. @default 500 */
  maxConditions?: number;
  /** Compares by the JSON type of the value and knows `ILIKE`, as version 3 of the scripts does. @default false */
  typed?: boolean;
}

const maxLevels = 5;

/**
 * Reads a filter (lua §4.1) from a plain value, be it JSON or a Lua table.
 * @example
 * parseFilter({ field: "status", value: "🙂" });
 * parseFilter({ op: "OR", conditions: [{ field: "rating", op: ">=", value: 4 }, { field: "pinned", value: true }] });
 */
export function parseFilter(
  input: unknown,
  { maxConditions = 500, typed = false }: ParseOptions = {},
): Filter {
  let conditions = 0;

  const parseNode = (node: unknown, level: number): Filter => {
    if (level >= maxLevels) throw new FilterError(`filter nesting too deep (max ${maxLevels} levels)`);
    if (!isRecord(node))
      throw new FilterError("a filter is a table with `field` and `value`, or a list of such");
    if (!Array.isArray(node) && typeof node["field"] === "string") {
      conditions += 1;
      if (conditions > maxConditions)
        throw new FilterError(`filter has too many conditions (max ${maxConditions})`);
      return parseCondition(node["field"], node, typed);
    }
    const { children, combine } = groupParts(node);
    if (children.length === 0) throw new FilterError("filter group has no conditions");
    return { kind: "group", combine, children: children.map((child) => parseNode(child, level + 1)) };
  };

  return parseNode(input, 0);
}

function parseCondition(name: string, node: Readonly<Record<string, unknown>>, typed: boolean): Condition {
  const field = parsePath(name);
  if (!field) throw new FilterError(`invalid filter field '${name}': ${pathRule}`);
  const given = typeof node["op"] === "string" ? node["op"] : "=";
  const known: readonly Operator[] = typed ? [...operators, "ILIKE"] : operators;
  const op = known.find((operator) => operator === given.toUpperCase());
  if (!op)
    throw new FilterError(
      `invalid filter op '${given}': must be one of ["=", "!=", "<", ">", "<=", ">=", "LIKE", "NOT LIKE"]`,
    );
  const value = node["value"];
  if (!isFilterValue(value))
    throw new FilterError(`unsupported filter value type for '${name}': ${typeName(value)}`);
  return { kind: "condition", field, op, value, ...(typed ? { isTyped: true } : {}) };
}

/** A list is an AND group; the announcement of 2.9 writes a group as `{ op, conditions }`, where alone `op` combines. */
function groupParts(node: Readonly<Record<string, unknown>> | readonly unknown[]): {
  children: readonly unknown[];
  combine: Group["combine"];
} {
  if (Array.isArray(node)) return { children: node, combine: "AND" };
  const { combine, op, conditions } = node as Readonly<Record<string, unknown>>; // no array, see above
  const given =
    [combine, conditions === undefined ? undefined : op].find((each) => typeof each === "string") ?? "AND";
  const upper = given.toUpperCase();
  if (upper !== "AND" && upper !== "OR")
    throw new FilterError(`invalid filter combine '${given}': must be 'AND' or 'OR'`);
  return { children: Array.isArray(conditions) ? conditions : [], combine: upper };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !(value instanceof UnsupportedValue);
}

function isFilterValue(value: unknown): value is FilterValue {
  return ["string", "number", "bigint", "boolean"].includes(typeof value);
}

function typeName(value: unknown): string {
  if (value instanceof UnsupportedValue) return value.type;
  if (value === undefined) return "nil";
  if (value === null) return "null";
  return typeof value === "object" ? "table" : typeof value;
}
