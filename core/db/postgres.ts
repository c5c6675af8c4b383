import { setImmediate as nextTurn } from "node:timers/promises";
import { drizzle } from "drizzle-orm/pg-proxy";
import postgres from "postgres";
import { HappyViewError } from "../errors.ts";
import type { BulkInsert, Database, Queries, SqlValue, Transaction } from "./database.ts";
import { createGate, noGate, type Gate } from "./gate.ts";
import { createTableCache, type Orm, type Schema } from "./schema.ts";

/**
 * Statements at once outside of transactions, or a quarter of the connections. Each has a server process of its own, and
 * more of them than processors serve no more requests: they take the processors from the one that writes what the network
 * sends.
 */
const minStatements = 8;
/** One that takes longer waits for something else than a processor. */
const slowMs = 100;

type Sql = postgres.Sql<{ bigint: number }>;
type Runner = Pick<Sql, "unsafe">;

/** A pool of postgres.js connections. Counts and cursors fit a double, so int8 is read as a number. */
export async function openPostgres(url: string, max: number): Promise<Database> {
  const sql = createPool(url, max);
  try {
    await sql`SELECT 1`;
  } catch (cause) {
    await sql.end({ timeout: 1 });
    throw new HappyViewError("DATABASE_UNREACHABLE", {
      message: `Postgres at ${withoutCredentials(url)} cannot be reached`,
      hint: "check DATABASE_URL, that the server runs, and that the user may connect to that database",
      cause,
    });
  }
  const tables = createTableCache("postgres");
  return {
    ...createQueries(sql, tables, createGate(Math.max(minStatements, max / 4), slowMs)),
    location: withoutCredentials(url),
    source: { dialect: "postgres", url },
    transaction: (work) => transact(sql, tables, work),
    // Node's names of lost connections, postgres.js' own, and classes of SQLSTATE: 08 connection, 25 read-only,
    // 40 rollback, 53 resources, 55 state, 57 operator intervention, 58 system.
    isTransient: (error) => /^(E[A-Z]+$|CONNECT|08|25|40|53|55|57|58)/.test(codeOf(error)),
    close: () => sql.end({ timeout: 5 }),
  };
}

/**
 * postgres.js would send its COMMIT or ROLLBACK to a connection that is lost, and the process would end with the
 * TypeError of a socket that is null: where it is lost, the work never ends for it.
 */
async function transact<T>(
  sql: Sql,
  tables: <S>(schema: Schema<S>) => S,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  let isSettled = false;
  let end = (): void => {};
  const untilLost = async (begun: Runner): Promise<T> => {
    const begunHere = createTransaction(begun, tables);
    ({ end } = begunHere);
    try {
      return await work(begunHere.tx);
    } catch (error) {
      await nextTurn(); // what made it fail may be the loss, of which postgres.js tells a moment later
      throw error;
    } finally {
      end();
      if (isSettled) await new Promise(() => {});
    }
  };
  const over = (): void => {
    isSettled = true;
    end();
  };
  return (await sql.begin(untilLost).finally(over)) as T; // typed as unwrapped lists of rows
}

/** What is asked after its end would be no part of it. */
function createTransaction(
  begun: Runner,
  tables: <S>(schema: Schema<S>) => S,
): { tx: Transaction; end(): void } {
  let isOver = false;
  const sql: Runner = {
    unsafe(...query) {
      if (isOver) throw new Error("the transaction is over");
      return begun.unsafe(...query);
    },
  };
  return {
    tx: {
      ...createQueries(sql, tables, noGate),
      async lock(keys) {
        if (keys.length > 0) await sql.unsafe(lockSql, [stripesOf(keys)], { prepare: true });
      },
    },
    end: () => void (isOver = true),
  };
}

function createPool(url: string, max: number): Sql {
  try {
    return postgres(url, {
      max,
      connect_timeout: 10,
      idle_timeout: 300,
      onnotice: () => {},
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
      connection: { application_name: "happyview" },
    });
  } catch (error) {
    throw new HappyViewError("DATABASE_URL_INVALID", {
      message: `the database URL ${withoutCredentials(url)} cannot be read`,
      hint: "percent-encode what is special in the user or password: %2F for /, %40 for @, %3A for :, %23 for #, %3F for ?, %25 for %",
      cause: new Error(error instanceof Error ? error.message : String(error)), // the original one holds the whole URL
    });
  }
}

function createQueries(sql: Runner, tables: <S>(schema: Schema<S>) => S, gate: Gate): Queries {
  const run = (text: string, params: readonly unknown[]) =>
    gate(() => sql.unsafe(text, params as postgres.ParameterOrJSON<never>[], { prepare: true }));
  return {
    dialect: "postgres",
    tables,
    orm: createOrm(sql, gate),
    async all<T>(text: string, params: readonly SqlValue[] = []) {
      return [...(await run(numbered(text), params.map(bind)))] as T[]; // the caller knows the columns it selects
    },
    async get<T>(text: string, params: readonly SqlValue[] = []) {
      return (await run(numbered(text), params.map(bind)))[0] as T | undefined;
    },
    async run(text, params = []) {
      return (await run(numbered(text), params.map(bind))).count;
    },
    async selectByKeys<T>(select: string, column: string, keys: readonly string[]) {
      if (keys.length === 0) return [];
      return [...(await run(`${select} WHERE ${column} = ANY($1::text[])`, [keys.map(bind)]))] as T[];
    },
    async insertMany(insert, rows) {
      if (rows.length === 0) return;
      const columns = Object.keys(insert.columns).map((_, i) => rows.map((row) => bind(row[i] ?? null)));
      await run(insertSql(insert), columns);
    },
    async deleteByKeys(table, column, keys) {
      if (keys.length === 0) return 0;
      return (await run(`DELETE FROM ${table} WHERE ${column} = ANY($1::text[])`, [keys.map(bind)])).count;
    },
  };
}

/** Two-part advisory locks, in ascending order, so that two transactions cannot wait for each other. */
const lockSql = "SELECT pg_advisory_xact_lock(1280, stripe) FROM unnest($1::int[]) AS stripe";

/** Locks take shared memory, so many keys share a few of them. */
const stripeCount = 256;

function stripesOf(keys: readonly string[]): number[] {
  const stripes = new Set<number>();
  for (const key of keys) {
    let hash = 0;
    for (let i = 0; i < key.length; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0;
    stripes.add((hash >>> 0) % stripeCount);
  }
  return [...stripes].toSorted((a, b) => a - b);
}

function insertSql({ table, columns, onConflict }: BulkInsert): string {
  const names = Object.keys(columns);
  const arrays = Object.values(columns).map(
    (type, i) => `$${i + 1}::${type === "int" ? "bigint" : "text"}[]`,
  );
  return `INSERT INTO ${table} (${names.join(", ")}) SELECT * FROM unnest(${arrays.join(", ")})${onConflict ? ` ON CONFLICT ${onConflict}` : ""}`;
}

// The builders we use are the same on both dialects; see schema.ts for why SQLite's types stand for both.
function createOrm(sql: Runner, gate: Gate): Orm {
  return drizzle(async (text, params, method) => {
    const values = (params as SqlValue[]).map(bind) as postgres.ParameterOrJSON<never>[]; // as its columns encoded them
    const ask = () => sql.unsafe(text, values, { prepare: true });
    return { rows: [...(await gate<unknown[]>(method === "execute" ? ask : () => ask().values()))] };
  }) as unknown as Orm;
}

const texts = new Map<string, string>();

/** `?` → `$1`, outside of quotes; cached, since the texts come from our code. */
function numbered(text: string): string {
  let known = texts.get(text);
  if (known === undefined) {
    let n = 0;
    known = text.replace(/'(?:[^']|'')*'|"[^"]*"|\?/g, (part) => (part === "?" ? `$${++n}` : part));
    if (texts.size > 1000) texts.clear();
    texts.set(text, known);
  }
  return known;
}

/** Postgres refuses a text with a NUL, which anybody can send as %00: the replacement character stands for it. */
function bind(value: SqlValue): SqlValue {
  if (typeof value === "string") return value.includes("\0") ? value.replaceAll("\0", "\uFFFD") : value;
  return typeof value === "boolean" ? (value ? 1 : 0) : value;
}

/** A password that is not percent-encoded ends the authority early: an @ behind it means that the rest may be secret. */
function withoutCredentials(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || `${parsed.pathname}${parsed.search}${parsed.hash}`.includes("@")) return "postgres://…";
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}
