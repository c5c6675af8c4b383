import { openTestPool } from "./_pool.ts";

/** Started by bun.test.ts in Bun; prints what the runs came to. */
const pool = await openTestPool();
const limits = { milliseconds: 300 };
const codes = [
  "while true do pcall(function() while true do end end) end",
  "return ('a'):rep(1e9)",
  "return string.find(('a'):rep(60000) .. 'b', ('.-'):rep(12) .. 'c')",
];
const values = await pool.evaluate("return { params.s, 9007199254740993, 10 / 2 }", { params: { s: "x" } });
const page = await pool.evaluate("return db.query({ collection = 'test.none' })");
const outcomes = await Promise.all(codes.map((code) => pool.query(code, { limits })));
const attacks = outcomes.map((outcome) => outcome.kind === "error" && outcome.error.type);
const host = await pool.pool.run(
  {
    kind: "query",
    script: { trigger: "test", body: "function handle() return http.get('x').status + 1 end" },
    env: {},
    query: { method: "a.b", params: {}, collection: "" },
  },
  { host: { "http.request": async () => ({ status: 200 }) } },
);
const after = await pool.evaluate("return 1");
await pool.close();
console.log(JSON.stringify({ values, page, attacks, host: host.kind === "value" && host.json, after }));
// Bun cannot end a thread inside WebAssembly: the exponential pattern would go on for ever.
process.exit(0);
