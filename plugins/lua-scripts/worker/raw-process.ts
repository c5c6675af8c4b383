import { Worker } from "node:worker_threads";
import type { RawParam } from "../api/db-raw.ts";
import { answerRaw, cellOf, type RawLimits, type RawRows } from "../api/db-raw-rows.ts";
import type { RawBatch, RawStatement } from "../api/db-raw-statements.ts";
import { createSqliteStatements, type SqliteStatements } from "./sqlite-statements.ts";

/** One call of `db.raw`, as it comes to this process. Its answer is a RawAnswer. */
export interface RawCall {
  batch: RawBatch;
  params: readonly RawParam[];
  limits: RawLimits;
}

/**
 * Runs `db.raw` for one script thread. A statement of SQLite runs inside native code, which nothing but the end of its
 * process interrupts: the server's threads must not run it, and this process ends itself at the deadline of a call.
 */
function serve(file: string, maxBytes: number): void {
  const setDeadline = startWatchdog(maxBytes);
  const statements = createSqliteStatements(file, { readonly: false });
  // Both may be sent to the whole group of the server, which lets its scripts come to their end.
  for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => {});
  process.on("message", async ({ batch, params, limits }: RawCall) => {
    setDeadline(limits.rawMilliseconds);
    const answer = await answerRaw(
      limits,
      () => performance.now(),
      (rows) => runBatch(statements, batch, params, rows),
    );
    setDeadline(undefined);
    process.send?.(answer);
  });
}

function runBatch(
  { connection, prepare, close }: SqliteStatements,
  { statements, changesConnection }: RawBatch,
  params: readonly RawParam[],
  rows: RawRows,
): void {
  try {
    for (const { sql, params: count } of statements) {
      const statement = prepare(sql);
      const values = bound(count, params);
      if (!statement.reader) {
        statement.run(...values);
        continue;
      }
      statement.raw(true).safeIntegers(true);
      const columns = statement.columns().map(({ name }) => name);
      for (const row of statement.iterate(...values)) rows.add(columns, (row as unknown[]).map(cellOf)); // raw: a row is the list of its values
    }
  } finally {
    if (connection().inTransaction) connection().exec("ROLLBACK");
    if (changesConnection) close();
  }
}

/** Numbered parameters are bound by number; one that was not given is null. */
function bound(
  count: RawStatement["params"],
  params: readonly RawParam[],
): [] | [Record<number, RawParam | null>] {
  if (count === 0) return [];
  return [Object.fromEntries(Array.from({ length: count }, (_, i) => [i + 1, params[i] ?? null]))];
}

/**
 * A thread that kills this process at the deadline, and when the script thread is gone, with or without the server:
 * inside native code nothing else hears that its end of the pipe has closed. A text, so that it needs no file beside
 * those of the build. Nothing is ever written to the pipe, and where it does not block there is EAGAIN to read.
 */
const watchdog = `
const { deadline, maxBytes } = process.getBuiltinModule("node:worker_threads").workerData;
const kill = () => process.kill(process.pid, "SIGKILL");
const { read } = process.getBuiltinModule("node:fs");
const listen = () => read(0, Buffer.alloc(1), 0, 1, null, (error) => {
  if (error?.code === "EAGAIN") setTimeout(listen, 50);
  else kill();
});
listen();
setInterval(() => {
  const at = Atomics.load(deadline, 0);
  if (at > 0n && (process.hrtime.bigint() > at || process.memoryUsage.rss() > maxBytes)) kill();
}, 50);
`;

/** Sets how many milliseconds this process may still live; undefined for as long as it likes. */
function startWatchdog(maxBytes: number): (ms: number | undefined) => void {
  const deadline = new BigInt64Array(new SharedArrayBuffer(8));
  new Worker(watchdog, { eval: true, workerData: { deadline, maxBytes } }).unref();
  return (ms) => {
    const at = ms === undefined ? 0n : process.hrtime.bigint() + BigInt(Math.ceil(ms * 1e6));
    Atomics.store(deadline, 0, at);
  };
}

// A script thread starts this file with the database and the memory that it may take; nobody else imports it.
const [, , file, maxBytes] = process.argv;
if (process.send && file !== undefined) serve(file, Number(maxBytes));
