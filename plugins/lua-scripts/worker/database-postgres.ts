import postgres from "postgres";
import type { RecordReader } from "../api/db.ts";
import type { RawParam } from "../api/db-raw.ts";
import {
  answerRaw,
  cellOf,
  PassedLimit,
  type RawAnswer,
  type RawCell,
  type RawLimits,
  type RawRows,
} from "../api/db-raw-rows.ts";
import type { RawBatch, RawStatement } from "../api/db-raw-statements.ts";
import { defaultLimits } from "../engine/engine.ts";
import { waitClock } from "../engine/lua54/active-run.ts";

type Sql = postgres.Sql<{}>;
type Runner = Pick<Sql, "unsafe" | "typed">;
type Value = string | postgres.Parameter<string | number>;

const maxPrepared = 500;
const rowsAtOnce = 500;
/** Of a connection. A call of `db.raw` that has much less left, or more, sets its own. */
const defaultTimeoutMs = defaultLimits.rawMilliseconds;
/** Types by their ids in Postgres' catalog. */
const oid = { int8: 20, text: 25, float8: 701 } as const;
const integers: ReadonlySet<number> = new Set([20, 21, 23]);
const floats: ReadonlySet<number> = new Set([700, 701]);
const boolean = 16;
/** char, name, text, json, unknown, bpchar, varchar, jsonb. */
const texts: ReadonlySet<number> = new Set([18, 19, 25, 114, 705, 1042, 1043, 3802]);

export function openPostgresReader(url: string): RecordReader {
  const sql: Sql = postgres(url, {
    max: 2,
    connect_timeout: 10,
    onnotice: () => {},
    // A script must not hold a connection of its worker for ever.
    connection: {
      application_name: "happyview scripts",
      statement_timeout: defaultTimeoutMs,
      // As the guard reads strings.
      standard_conforming_strings: "on",
    },
  });
  const known = new Map<string, string>();
  const run = async <Row>(text: string, params: readonly (string | number)[]): Promise<Row[]> => {
    let numbered = known.get(text);
    if (numbered === undefined) {
      numbered = numberMarks(text);
      // Each connection keeps what is prepared: beyond so many forms of a filter, statements are not.
      if (known.size < maxPrepared) known.set(text, numbered);
    }
    const values = params.map((value) => (typeof value === "string" ? withoutNul(value) : value));
    // The caller knows the columns it selects.
    return [...(await sql.unsafe(numbered, values, { prepare: known.has(text) }))] as unknown as Row[];
  };
  return {
    backend: "postgres",
    records: run,
    count: async (text, params) => BigInt((await run<{ n: string }>(text, params))[0]?.n ?? 0),
    raw: (batch, params, limits) => runBatch(sql, batch, params, limits),
    close: () => sql.end({ timeout: 1 }),
  };
}

async function runBatch(
  sql: Sql,
  { statements, changesConnection }: RawBatch,
  params: readonly RawParam[],
  limits: RawLimits,
): Promise<RawAnswer> {
  const reserved = sql.reserve();
  // The wait for a connection is not the script's.
  await reserved.catch(() => {});
  return answerRaw(limits, waitClock, async (rows) => {
    const connection = await reserved;
    let hasTimeout = false;
    try {
      for (const statement of statements) {
        const left = rows.left();
        if (left < defaultTimeoutMs * 0.9 || left > defaultTimeoutMs) {
          hasTimeout = true;
          await connection.unsafe(`SET statement_timeout = ${Math.ceil(left)}`).simple();
        }
        await runStatement(connection, statement, params, rows);
      }
    } catch (error) {
      throw codeOf(error) === "57014" ? new PassedLimit("rawMilliseconds") : error; // query_canceled
    } finally {
      try {
        // One by one: what is sent together is a transaction, in which nothing can be discarded.
        if (changesConnection) await connection.unsafe("ROLLBACK").simple();
        if (changesConnection) await connection.unsafe("DISCARD ALL").simple();
        else if (hasTimeout) await connection.unsafe("RESET statement_timeout").simple();
      } finally {
        connection.release();
      }
    }
  });
}

async function runStatement(
  sql: Runner,
  { sql: text, params: count }: RawStatement,
  params: readonly RawParam[],
  rows: RawRows,
): Promise<void> {
  const values = Array.from({ length: count }, (_, i) => params[i]);
  try {
    await runOne(
      sql,
      text,
      values.map((value) => toValue(sql, value)),
      rows,
    );
  } catch (error) {
    // A parameter whose type cannot be seen from the statement is, as in HappyView, of the type of its value.
    if (codeOf(error) !== "42P18") throw error; // indeterminate_datatype, found before anything is done
    const ofType = (value: RawParam | undefined): Value | null =>
      typeof value === "string" ? sql.typed(withoutNul(value), oid.text) : toValue(sql, value);
    await runOne(sql, text, values.map(ofType), rows);
  }
}

async function runOne(
  sql: Runner,
  text: string,
  values: readonly (Value | null)[],
  rows: RawRows,
): Promise<void> {
  const query = sql.unsafe(text, values as postgres.ParameterOrJSON<never>[]).raw(); // null is taken too
  let columns: readonly { name: string; type: number }[] = [];
  for await (const part of query.cursor(rowsAtOnce)) {
    // With raw() a row is the list of its columns as the server sent them, which it describes once, at first.
    const { columns: described } = part as unknown as { columns: typeof columns | null };
    columns = described ?? columns;
    const names = columns.map(({ name }) => name);
    for (const row of part as unknown as (Uint8Array | null)[][]) {
      const cells = row.map((cell, i) => rawCell(cell, columns[i]?.type ?? 0));
      rows.add(names, cells);
    }
  }
}

function rawCell(cell: Uint8Array | null, type: number): RawCell {
  if (cell === null) return undefined;
  const text = Buffer.from(cell).toString("utf8");
  if (integers.has(type)) return text;
  if (floats.has(type)) return cellOf(Number(text));
  if (type === boolean) return text === "t" ? "true" : "false";
  return texts.has(type) ? JSON.stringify(text) : undefined;
}

function toValue(sql: Runner, value: RawParam | undefined): Value | null {
  if (value === undefined) return null;
  if (typeof value === "bigint") return sql.typed(String(value), oid.int8);
  return typeof value === "number" ? sql.typed(value, oid.float8) : withoutNul(value);
}

/** Postgres has no text with a NUL. */
function withoutNul(value: string): string {
  return value.replaceAll("\0", "\uFFFD");
}

/** `?` → `$1`, outside of quotes. */
function numberMarks(text: string): string {
  let n = 0;
  return text.replace(/'(?:[^']|'')*'|"[^"]*"|\?/g, (part) => (part === "?" ? `$${++n}` : part));
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}
