import type { Dialect } from "../../core/db/database.ts";
import type { FieldPath } from "./path.ts";

/**
 * The forms in which the SQL of a dialect sees a field of the stored JSON. A missing field and null are null in every
 * form. Paths are part of the text, since an index on an expression serves only that very expression; they hold
 * nothing but letters, digits and underscores.
 */
export interface FieldForms {
  /** As text: strings as they are, numbers and booleans as JSON writes them, objects and arrays as JSON. */
  text: string;
  /** What an index holds of the text, since Postgres refuses keys of more than 2700 bytes. Orders as the text does. */
  key: string;
  /** The same of a bound text. */
  keyOf(mark: string): string;
  /** Null for anything but a number. */
  number: string;
  /** True for true and false alone. */
  isBoolean: string;
  /** True for strings alone. */
  isString: string;
}

const keyLength = 256;

export function fieldForms(path: FieldPath, dialect: Dialect): FieldForms {
  return dialect === "sqlite" ? sqliteForms(path) : postgresForms(path);
}

function sqliteForms({ steps }: FieldPath): FieldForms {
  const path = `'$${steps.map((step) => (typeof step === "number" ? `[${step}]` : `."${step}"`)).join("")}'`;
  const type = `json_type(record, ${path})`;
  const value = `json_extract(record, ${path})`;
  const text = `CASE ${type} WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(${value} AS TEXT) END`;
  return {
    text,
    key: text,
    keyOf: (mark) => mark,
    number: `CASE WHEN ${type} IN ('integer', 'real') THEN ${value} END`,
    isBoolean: `${type} IN ('true', 'false')`,
    isString: `${type} = 'text'`,
  };
}

// Postgres has no text with a NUL and no lone surrogate, and refuses to read JSON that holds one: anybody may publish
// such a record, and one of them must not fail the queries of all.
const postgresJson = String.raw`(CASE WHEN strpos(record, '\u') = 0 THEN record ELSE regexp_replace(record, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g') END)::jsonb`;

function postgresForms({ steps }: FieldPath): FieldForms {
  const arrows = steps.map((step) => (typeof step === "number" ? String(step) : `'${step}'`));
  const last = arrows.pop() ?? "''";
  const parent = [postgresJson, ...arrows].join(" -> ");
  const text = `((${parent} ->> ${last}) COLLATE "C")`;
  const path = `strict $${steps.map((step) => (typeof step === "number" ? `[${step}]` : `."${step}"`)).join("")}`;
  const number = `(jsonb_path_query_first(${postgresJson}, '${path} ? (@.type() == "number")', '{}', true)::numeric)`;
  return {
    text,
    key: `left(${text}, ${keyLength})`,
    keyOf: (mark) => `left(${mark}, ${keyLength})`,
    number,
    isBoolean: `jsonb_typeof(${parent} -> ${last}) = 'boolean'`,
    isString: `jsonb_typeof(${parent} -> ${last}) = 'string'`,
  };
}
