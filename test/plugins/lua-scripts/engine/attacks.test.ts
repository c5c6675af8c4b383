import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestPool, type TestPool } from "./_pool.ts";

const exponential = "return string.find(('a'):rep(60000) .. 'b', ('.-'):rep(12) .. 'c')";
const limits = { milliseconds: 300 };
let pool: TestPool;

beforeAll(async () => {
  pool = await openTestPool();
});
afterAll(() => pool.close());

const others = (): Promise<string[]> =>
  Promise.all(
    Array.from({ length: 40 }, (_, i) =>
      pool.evaluate("local s = 0 for i = 1, 1000 do s = s + i end return params.i", {
        params: { i: BigInt(i) },
      }),
    ),
  );
const all = Array.from({ length: 40 }, (_, i) => String(i));

describe("each attack ends while other scripts go on", () => {
  test.each([
    ["a loop for ever", "while true do end", "timeout"],
    ["a loop inside pcall", "while true do pcall(function() while true do end end) end", "timeout"],
    ["a pcall that calls itself", "local function f() pcall(f) f() end f()", "timeout"],
    [
      "a loop in coroutines",
      "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end",
      "timeout",
    ],
    [
      "an error handler in a loop",
      "xpcall(error, function() while true do end end) while true do end",
      "timeout",
    ],
    ["pcall as a tail call", "return pcall(function() while true do end end)", "timeout"],
    [
      "a finalizer in a loop",
      "setmetatable({}, { __gc = function() while true do end end }) while true do local t = {} end",
      "timeout",
    ],
    [
      "a closing variable in a loop",
      "local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
      "timeout",
    ],
    ["a huge string", "return #('a'):rep(1e9)", "memory"],
    ["a table without end", "local t = {} while true do t[#t + 1] = { #t } end", "memory"],
    ["strings that double", "local s = 'a' while true do s = s .. s end", "memory"],
    ["a pattern of exponential time", exponential, "timeout"],
    [
      "a loop in a metamethod",
      "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
      "timeout",
    ],
    ["a loop in a comparison", "table.sort({ 3, 1, 2 }, function() while true do end end)", "timeout"],
    [
      "a loop in a callback of gsub",
      "return (('a'):rep(9):gsub('a', function() while true do end end))",
      "timeout",
    ],
    [
      "a loop in tostring of an error",
      "error(setmetatable({}, { __tostring = function() while true do end end }))",
      "timeout",
    ],
    [
      "a loop in a coroutine that is closed",
      "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() while true do end end }) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
      "timeout",
    ],
    ["a loop inside async", "require('internal.async').all(function() while true do end end)", "timeout"],
    ["a recursion without end", "local function f() return 1 + f() end return f()", "memory"],
    [
      "closures without end",
      "local t = {} while true do local n = #t t[n + 1] = function() return n end end",
      "memory",
    ],
    ["a cyclic result", "local t = {} t.t = t return t", "runtime"],
    ["a result that is not UTF-8", "return '\\xff'", "runtime"],
    [
      "an error that refuses tostring",
      "error(setmetatable({}, { __tostring = function() error('no') end }))",
      "runtime",
    ],
    [
      "an error whose tostring is no text",
      "error(setmetatable({}, { __tostring = function() return {} end }))",
      "runtime",
    ],
    ["a deep result", "local t = {} for i = 1, 1e5 do t = { t } end return t", "runtime"],
  ])("%s", async (_name, code, type) => {
    // A memory is filled in its time, however slow the machine is.
    const milliseconds = type === "memory" ? 20_000 : 300;
    const attack = pool.query(code, { limits: { milliseconds, memoryBytes: 16 * 1024 * 1024 } });
    expect(await others()).toEqual(all);
    expect(await attack).toMatchObject({ kind: "error", error: { type } });
    expect(await others()).toEqual(all);
  });
});

test("a limit passed inside pcall is told where it was", async () => {
  const outcome = await pool.query("\n\nwhile true do pcall(function() while true do end end) end", {
    limits,
  });
  expect(outcome).toMatchObject({
    kind: "error",
    error: { type: "timeout", line: 4, message: "script exceeded execution time limit" },
  });
});

test("the instruction budget ends a run before its time", async () => {
  const outcome = await pool.query("while true do end", { limits: { instructions: 100_000 } });
  expect(outcome).toMatchObject({
    kind: "error",
    error: { type: "timeout", limit: "instructions" },
    used: { instructions: 101_000 },
    limits: { instructions: 100_000 },
  });
});

test.each([
  ["a string", "pcall(string.rep, 'a', 1e9)"],
  ["a table", "pcall(function() local t = {} while true do t[#t + 1] = { #t } end end)"],
  ["a coroutine", "coroutine.resume(coroutine.create(function() return ('a'):rep(1e9) end))"],
])("a full memory ends the run although %s is caught", async (_name, code) => {
  const given = { limits: { memoryBytes: 4 * 1024 * 1024 } };
  for (const rest of ["return 1", "while true do end", `while true do ${code} end`])
    expect(await pool.query(`${code} ${rest}`, given)).toMatchObject({
      kind: "error",
      error: { type: "memory", message: "not enough memory", limit: "memoryBytes" },
    });
});

test("garbage does not fill the memory", async () => {
  const code = "local s = '' for i = 1, 5000 do s = ('x'):rep(20000 + i) end return #s";
  expect(await pool.evaluate(code, { limits: { memoryBytes: 2 * 1024 * 1024 } })).toBe("25000");
});

test("the memory ceiling holds", async () => {
  const limits = { memoryBytes: 4 * 1024 * 1024 };
  // string.rep holds its result twice for a moment.
  const fits = await pool.query("return #('a'):rep(1900000)", { limits });
  expect(fits).toMatchObject({ kind: "value", json: "1900000" });
  expect(fits.used.memoryBytes).toBeGreaterThan(3_800_000);
  expect(fits.used.memoryBytes).toBeLessThanOrEqual(limits.memoryBytes);
  const tooLarge = await pool.query("return #('a'):rep(2200000)", { limits });
  expect(tooLarge).toMatchObject({
    kind: "error",
    error: { type: "memory", message: "not enough memory", line: 2 },
  });
});

test("a result has a size limit", async () => {
  const outcome = await pool.query("return ('x'):rep(2000)", { limits: { resultBytes: 1000 } });
  expect(outcome).toMatchObject({
    kind: "error",
    error: {
      type: "runtime",
      limit: "resultBytes",
      message: "the value is larger than 1000 bytes of JSON",
    },
  });
});

test("many threads that hang at once are all replaced, and every other run is done", async () => {
  const attacks = Array.from({ length: 4 }, () => pool.query(exponential, { limits }));
  expect(await others()).toEqual(all);
  for (const outcome of await Promise.all(attacks))
    expect(outcome).toMatchObject({ kind: "error", error: { type: "timeout" } });
});

test("a body that hangs while it is checked is refused", async () => {
  const body = `local x = string.find(('a'):rep(60000) .. 'b', ('.-'):rep(12) .. 'c')\nfunction handle() end`;
  expect(await pool.pool.validate(body)).toEqual({
    ok: false,
    message: "script compilation failed: script exceeded execution time limit",
  });
  expect(await pool.pool.validate("function handle() end")).toEqual({ ok: true });
});
