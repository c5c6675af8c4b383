import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startAttacked, type Attacked } from "./_attacked.ts";

/** Two threads may each keep 128 MiB; the rest is what JavaScript has not collected. */
const nearMebibytes = 320;

/** One that ends a run soon, and one that gives it the time to reach its other bounds on a slow machine, too. */
let server: Attacked;
let patient: Attacked;
const atStart = new Map<Attacked, number>();

beforeAll(async () => {
  [server, patient] = await Promise.all([startAttacked(500), startAttacked(20_000)]);
  for (const one of [server, patient]) {
    for (let i = 0; i < 20; i++) await one.others(50);
    atStart.set(one, await one.mebibytes());
  }
});
afterAll(() => Promise.all([server.stop(), patient.stop()]));

afterEach(async () => {
  for (const [one, mebibytes] of atStart) {
    expect(await one.others(20)).toBe(20);
    await expect.poll(() => one.mebibytes(), { timeout: 10_000 }).toBeLessThan(mebibytes + nearMebibytes);
  }
});

const loop = "while true do end";
const meta = (field: string): string => `setmetatable({}, { ${field} = function() ${loop} end })`;
const exponential = "(('a'):rep(60000) .. 'b', ('.-'):rep(12) .. 'c')";
const stubborn = "setmetatable({}, { __tostring = function() error('no') end })";

describe("the server goes on beside and after", () => {
  test.each([
    ["a loop", loop, "timeout"],
    ["a loop of goto", "::again:: goto again", "timeout"],
    [
      "a loop that has a memory of its failures",
      `while true do pcall(function() ${loop} end) end`,
      "timeout",
    ],
    ["a loop in an error handler", `while true do xpcall(error, function() ${loop} end) end`, "timeout"],
    ["a loop of pcalls that call themselves", "local function f() pcall(f) f() end f()", "timeout"],
    [
      "a loop in coroutines",
      `while true do coroutine.wrap(function() pcall(function() ${loop} end) end)() end`,
      "timeout",
    ],
    [
      "a loop in a coroutine that is closed",
      `local co = coroutine.create(function() local x <close> = ${meta("__close")} coroutine.yield() end) coroutine.resume(co) coroutine.close(co)`,
      "timeout",
    ],
    ["coroutines without end", "local function f() return coroutine.wrap(f)() end f()", "runtime"],
    ["a loop in __index", `return ${meta("__index")}.x`, "timeout"],
    ["a loop in __newindex", `local t = ${meta("__newindex")} t.x = 1`, "timeout"],
    ["a loop in __call", `return ${meta("__call")}()`, "timeout"],
    ["a loop in __lt", `return ${meta("__lt")} < 1`, "timeout"],
    ["a loop in __concat", `return ${meta("__concat")} .. 'x'`, "timeout"],
    ["a loop in __len", `return #${meta("__len")}`, "timeout"],
    ["a loop in __pairs", `for k in pairs(${meta("__pairs")}) do end`, "timeout"],
    ["a loop in __gc", `${meta("__gc")} while true do local t = {} end`, "timeout"],
    ["a loop in __close", `local x <close> = ${meta("__close")} return 1`, "timeout"],
    ["a loop in a callback of gsub", `return (('a'):rep(9):gsub('a', function() ${loop} end))`, "timeout"],
    ["a loop in a comparison of sort", `table.sort({ 3, 1, 2 }, function() ${loop} end)`, "timeout"],
    ["a loop in tostring of an error", `error(${meta("__tostring")})`, "timeout"],
    ["a loop beside calls that wait", `while true do pcall(db.query, { collection = 'a.b' }) end`, "timeout"],
    ["a pattern of exponential time", `return string.find${exponential}`, "timeout"],
    [
      "the same in gsub, caught",
      `while true do pcall(string.gsub, ${exponential.slice(1, -1)}, '') end`,
      "timeout",
    ],
    ["a pattern nested too deeply", "return ('x'):find(('('):rep(1000))", "runtime"],
    ["a huge string", "return #('a'):rep(1e9)", "memory"],
    ["a huge string, caught", "while true do pcall(string.rep, 'a', 1e9) end", "memory"],
    ["a string that doubles", "local s = 'a' while true do s = s .. s end", "memory"],
    ["a huge format", "return ('%99s'):rep(1e6):format()", "runtime"],
    [
      "a huge concatenation",
      "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1e5) end return #table.concat(t)",
      "memory",
    ],
    ["a table without end", "local t = {} while true do t[#t + 1] = { #t } end", "memory"],
    [
      "closures without end",
      "local t = {} while true do local n = #t t[n + 1] = function() return n end end",
      "memory",
    ],
    ["threads without end", "local t = {} while true do t[#t + 1] = coroutine.create(print) end", "memory"],
    ["a recursion without end", "local function f() return 1 + f() end return f()", "memory"],
    ["a recursion in C", "local function f() return (('a'):gsub('a', f)) end return f()", "runtime"],
    ["values without end on the stack", "return table.unpack({}, 1, 1e7)", "runtime"],
    ["a log without end", `while true do log(('x'):rep(1000)) end`, "timeout"],
    ["an error that refuses tostring", `error(${stubborn})`, "runtime"],
    [
      "an error whose tostring is none",
      "error(setmetatable({}, { __tostring = function() return {} end }))",
      "runtime",
    ],
    ["an error that is its own traceback", "local e = {} e.e = e error(e)", "runtime"],
    ["an error of megabytes", "error(('x'):rep(1e7))", "runtime"],
    ["a cyclic result", "local t = {} t.t = t return t", "runtime"],
    ["a deep result", "local t = {} for i = 1, 1e5 do t = { t } end return t", "runtime"],
    [
      "a result that is too large",
      "local s, t = ('x'):rep(1e6), {} for i = 1, 20 do t[i] = s end return t",
      "runtime",
    ],
    ["a result that is not UTF-8", "return '\\xff'", "runtime"],
    ["a result that has no JSON", "return { print }", "runtime"],
    ["calls of itself", "return json.decode(xrpc.query('org.example.attack').body)", "runtime"],
  ])("%s", async (_name, code, type) => {
    const attacked = type === "timeout" ? server : patient;
    const [attack, answered] = await Promise.all([attacked.run(code), attacked.others(20)]);
    expect(answered).toBe(20);
    expect(attack).toMatchObject({
      status: type === "timeout" ? 408 : 500,
      body: { error: "script_error", errorType: type },
    });
  });

  test("ten thousand calls to a server that does not answer", async () => {
    const call = `function() pcall(http.get, '${patient.stalled}') end`;
    const attack = patient.run(
      `local fs = {} for i = 1, 10000 do fs[i] = ${call} end require('internal.async').all(table.unpack(fs))`,
    );
    expect(await patient.others(50)).toBe(50);
    const hangUp = setInterval(patient.hangUp, 20);
    expect(await attack.finally(() => clearInterval(hangUp))).toMatchObject({
      status: 500,
      body: { errorType: "runtime", message: "HTTP request failed: a run may make 100 requests" },
    });
  });

  test("runs that hold their memory while they wait", async () => {
    const code = `if not params.hold then return 1 end
      local t = {} for i = 1, 25 do t[i] = ('x'):rep(1e6 + i) end http.get('${server.stalled}')`;
    expect(await server.run(code)).toMatchObject({ status: 200 });
    const held = Array.from({ length: 40 }, () => server.again("?hold=1"));
    expect(await server.others(50)).toBe(50);
    const hangUp = setInterval(server.hangUp, 20);
    const ended = await Promise.all(held).finally(() => clearInterval(hangUp));
    // On a slow machine some pass their time before they ask.
    expect(ended.filter(({ status }) => status === 500 || status === 408)).toHaveLength(40);
  });

  test("many of them at once", async () => {
    await server.run(`if params.limit == 0 then string.find${exponential} end
      if params.limit == 1 then ${loop} end
      if params.limit == 2 then return ('x'):rep(1e9) end
      return 1`);
    const attacks = Array.from({ length: 24 }, (_, i) => server.again(`?limit=${i % 3}`));
    expect(await server.others(100)).toBe(100);
    expect((await Promise.all(attacks)).map(({ status }) => status)).toEqual(
      Array.from({ length: 24 }, (_, i) => (i % 3 === 2 ? 500 : 408)),
    );
  });
});

test("a thread that dies loses none of the runs it held, and is replaced", async () => {
  await server.run(
    `if params.limit then return { n = params.limit, c = db.count('a.b') } end string.find${exponential}`,
  );
  for (let round = 0; round < 3; round++) {
    const killers = [server.again(), server.again()];
    const held = Array.from({ length: 60 }, (_, i) => server.again(`?limit=${i}`));
    expect(await Promise.all(held)).toEqual(
      Array.from({ length: 60 }, (_, i) => ({ status: 200, body: { n: i, c: 0 } })),
    );
    expect(await Promise.all(killers)).toMatchObject([{ status: 408 }, { status: 408 }]);
  }
});

test("ten thousand runs leak nothing", async () => {
  await server.run(`local n = params.limit
    if n % 4 == 0 then error({ code = n }) end
    if n % 4 == 1 then log(n) return pcall(http.get, 'x') end
    if n % 4 == 2 then return coroutine.wrap(function() coroutine.yield(db.backend()) end)() end
    local t = {} for i = 1, 1000 do t[i] = { i, function() return n end } end
    return #t`);
  const runs = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 50)
      await Promise.all(Array.from({ length: 50 }, (_, i) => server.again(`?limit=${i}`)));
  };
  // The heaps grow to their size in the first rounds; a leak grows in every one.
  const grown: number[] = [];
  let before = await server.mebibytes();
  do {
    await runs(5000);
    const now = await server.mebibytes();
    grown.push(now - before);
    before = now;
  } while (grown.length < 2 || (Math.min(...grown) > 12 && grown.length < 6));
  expect(Math.min(...grown)).toBeLessThan(12);
});
