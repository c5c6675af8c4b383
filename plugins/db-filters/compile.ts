import type { Dialect } from "../../core/db/database.ts";
import { fieldForms, type FieldForms } from "./fields.ts";
import type { Condition, Filter, Operator } from "./parse.ts";
import type { FieldPath } from "./path.ts";

/** A condition on rows of `happyview_records`, with `?` for each value. */
export interface SqlCondition {
  readonly sql: string;
  readonly params: readonly (string | number)[];
}

/** Comparisons that the order of an index can answer, with what must hold of the index's key. */
const keyOperators: Partial<Record<Operator, string>> = {
  "=": "=",
  "<": "<=",
  "<=": "<=",
  ">": ">=",
  ">=": ">=",
};

/** Whether an index on a field can answer such a comparison. */
export function isKeyOperator(op: Operator): boolean {
  return keyOperators[op] !== undefined;
}

/**
 * The condition of a filter. A value is compared as what it is: a number with numbers, a boolean with booleans, a
 * string with the text form of any field (in version 3 with strings alone); LIKE is always about text. A field that is
 * missing or null matches nothing.
 */
export function compileFilter(filter: Filter, dialect: Dialect): SqlCondition {
  const params: (string | number)[] = [];
  const write = (node: Filter): string => {
    if (node.kind === "condition") {
      const condition = compileCondition(node, dialect);
      params.push(...condition.params);
      return condition.sql;
    }
    const parts = node.children.map(write);
    return parts.length === 1 ? (parts[0] ?? "") : `(${parts.join(` ${node.combine} `)})`;
  };
  return { sql: write(filter), params };
}

/**
 * Rows of this collection, written into the text: an index that holds one collection only is usable when the
 * statement itself says so. Undefined for a name that is no NSID, which has no index.
 */
export function collectionCondition(collection: string): string | undefined {
  return /^[a-zA-Z0-9.-]{1,317}$/.test(collection) ? `collection = '${collection}'` : undefined;
}

/** The order of a list by a field: missing values are least, then texts by their bytes, then numbers. */
export function orderBy(path: FieldPath, direction: "ASC" | "DESC", dialect: Dialect): string {
  const { number, key, text } = fieldForms(path, dialect);
  // SQLite's nulls are least by nature; there the key is the text itself.
  if (dialect === "sqlite") return `${number} ${direction}, ${text} ${direction}, uri ${direction}`;
  const nulls = direction === "ASC" ? "NULLS FIRST" : "NULLS LAST";
  const terms = [number, key, text].map((term) => `${term} ${direction} ${nulls}`);
  return `${terms.join(", ")}, uri ${direction}`;
}

/** Postgres takes a backslash as an escape and refuses one at the very end: there it stands for itself. */
export function likePattern(value: string, dialect: Dialect): string {
  if (dialect === "sqlite") return value;
  const text = value.replaceAll("\0", "\uFFFD");
  const backslashes = /\\*$/.exec(text)?.[0].length ?? 0;
  return backslashes % 2 === 1 ? `${text}\\` : text;
}

function compileCondition({ field, op, value, isTyped }: Condition, dialect: Dialect): SqlCondition {
  const forms = fieldForms(field, dialect);
  if (op === "LIKE" || op === "NOT LIKE" || op === "ILIKE") {
    const sql = op === "ILIKE" ? likeAnyCase(forms.text, dialect) : `${forms.text} ${op} ?`;
    return { sql, params: [likePattern(String(value), dialect)] };
  }
  switch (typeof value) {
    case "string": {
      const compared = compareText(forms, op, value, dialect);
      return isTyped ? and(compared, forms.isString) : compared;
    }
    case "boolean":
      return and(compareText(forms, op, String(value), dialect), forms.isBoolean);
    default:
      return compareNumber(forms.number, op, value, dialect);
  }
}

/** LIKE whatever the case of letters: SQLite, which always does that, knows the case of ASCII only, Postgres of all. */
export function likeAnyCase(text: string, dialect: Dialect): string {
  return dialect === "sqlite" ? `${text} LIKE ?` : `(${text} COLLATE "default") ILIKE ?`;
}

function and({ sql, params }: SqlCondition, condition: string): SqlCondition {
  return { sql: `(${sql} AND ${condition})`, params };
}

function compareText(forms: FieldForms, op: Operator, value: string, dialect: Dialect): SqlCondition {
  const text = dialect === "postgres" ? value.replaceAll("\0", "\uFFFD") : value;
  const whole = `${forms.text} ${op} ?`;
  const keyOperator = keyOperators[op];
  if (forms.key === forms.text || !keyOperator) return { sql: whole, params: [text] };
  return { sql: `(${forms.key} ${keyOperator} ${forms.keyOf("?")} AND ${whole})`, params: [text, text] };
}

function compareNumber(number: string, op: Operator, value: number | bigint, dialect: Dialect): SqlCondition {
  // Nothing compares with what is no number; Postgres would place it above all numbers.
  if (Number.isNaN(value)) return { sql: "1 = 0", params: [] };
  const isExact = typeof value === "number" || Number.isSafeInteger(Number(value));
  const param = isExact ? Number(value) : String(value);
  if (dialect === "postgres") return { sql: `${number} ${op} CAST(? AS numeric)`, params: [String(param)] };
  return { sql: `${number} ${op} ${isExact ? "?" : "CAST(? AS INTEGER)"}`, params: [param] };
}
