import { openTestPool } from "../engine/_pool.ts";

/**
 * A server as raw-process.test.ts starts it, in Node and in Bun: while a statement that never ends runs in its script
 * thread, it says so and goes away in the way of its argument.
 */
const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
const pool = await openTestPool({ workers: 1 });
const results = [
  await pool.evaluate("return db.raw('SELECT 9007199254740993 AS n, ? AS t', { 'x' })"),
  (await pool.query(`return db.raw("${endless}")`, { limits: { rawMilliseconds: 300 } })).kind,
  await pool.evaluate("return #db.raw('SELECT 1')"),
];
void pool.query(`return db.raw("${endless}")`, { limits: { rawMilliseconds: 100_000 } }).catch(() => {});
// The thread answers others meanwhile, so that it has begun with the statement.
results.push(await pool.evaluate("return 1"));
process.stdout.write(`${JSON.stringify(results)}\n`);
const hang = "string.find(('a'):rep(60000) .. 'b', ('.-'):rep(12) .. 'c')";
process.on("SIGHUP", () => void pool.query(hang, { limits: { milliseconds: 100 } }));
process.on("SIGTERM", () => process.exit(0));
process.on("SIGUSR2", () => void pool.close().then(() => process.exit(0)));
