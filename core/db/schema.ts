import { bigint, customType, doublePrecision, pgTable, text as pgText } from "drizzle-orm/pg-core";
import { integer, real, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { SqliteRemoteDatabase } from "drizzle-orm/sqlite-proxy";
import type { Dialect } from "./database.ts";

/** Drizzle over either dialect. The types are SQLite's; the few builders we use are the same on both. */
export type Orm = SqliteRemoteDatabase<Record<string, never>>;

const sqliteColumns = {
  table: sqliteTable,
  text: () => text(),
  int: () => integer(),
  real: () => real(),
  /** Stored as 0 or 1 (admin-api §0). */
  bool: () => integer({ mode: "boolean" }),
  /** Stored as JSON text. */
  json: <T>() => text({ mode: "json" }).$type<T>(),
};

export type Columns = typeof sqliteColumns;

const jsonText = customType<{ data: unknown; driverData: string }>({
  dataType: () => "text",
  toDriver: (value) => JSON.stringify(value),
  fromDriver: (value) => JSON.parse(value) as unknown,
});

const zeroOne = customType<{ data: boolean; driverData: number }>({
  dataType: () => "integer",
  toDriver: (value) => (value ? 1 : 0),
  fromDriver: (value) => value === 1,
});

// The same method names on Postgres columns; seen through SQLite's types, so that one description serves both.
const postgresColumns = {
  table: pgTable,
  text: () => pgText(),
  int: () => bigint({ mode: "number" }),
  real: () => doublePrecision(),
  bool: () => zeroOne(),
  json: () => jsonText(),
} as unknown as Columns;

export interface Schema<S> {
  readonly build: (t: Columns) => S;
}

/**
 * Describes tables once for both dialects. Table names carry the owner's prefix.
 * @example
 * export const jobsSchema = defineSchema((t) => ({
 *   jobs: t.table("happyview_jobs", { id: t.text().primaryKey(), attempts: t.int().notNull() }),
 * }));
 */
export function defineSchema<S>(build: (t: Columns) => S): Schema<S> {
  return { build };
}

/** Builds each schema at most once for a database. */
export function createTableCache(dialect: Dialect): <S>(schema: Schema<S>) => S {
  const built = new WeakMap<Schema<unknown>, unknown>();
  return <S>(schema: Schema<S>): S => {
    let tables = built.get(schema) as S | undefined; // what this schema built, below
    if (tables === undefined) {
      tables = schema.build(dialect === "sqlite" ? sqliteColumns : postgresColumns);
      built.set(schema, tables);
    }
    return tables;
  };
}
