import { afterAll, describe, expect } from "vitest";
import { evaluate, runQuery } from "../engine/_run.ts";
import { cases, type Subject } from "./_subject.ts";

/** Each tries to leave something behind that the same script, run again, would find. */
const leaks: [name: string, body: string, expected: string][] = [
  ["a global", "n = (n or 0) + 1 function handle() n = n + 1 return n end", "2"],
  ["an upvalue", "local n = 0 function handle() n = n + 1 return n end", "1"],
  [
    "a field of a library",
    "function handle() local old = string.leak string.leak = 1 return old == nil end",
    "true",
  ],
  [
    "a replaced library function",
    "function handle() local r = string.upper('a') string.upper = function() return 'leak' end return r end",
    '"A"',
  ],
  [
    "the metatable of strings",
    "function handle() local mt = getmetatable('') local old = mt.__index.leak or mt.leak mt.leak = 1 mt.__index.leak = 1 return old == nil end",
    "true",
  ],
  [
    "a metatable of _G",
    "function handle() local old = getmetatable(_G) setmetatable(_G, { __index = function() return 'leak' end }) return old == nil end",
    "true",
  ],
  [
    "a replaced global function",
    "function handle() local r = type(1) type = function() return 'leak' end return r end",
    '"number"',
  ],
  [
    "a changed host table",
    "function handle() local old = json.leak json.leak = 1 local kind = type(json.encode) .. type(TID) json.encode = nil TID = nil return old == nil and kind end",
    '"functiontable"',
  ],
  [
    "a live coroutine",
    "function handle() local old = co co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return old == nil end",
    "true",
  ],
  [
    "the random generator",
    "function handle() math.randomseed(42) return type(math.random(0)) end",
    '"number"',
  ],
  [
    "a changed parameter",
    "function handle() local old = params.leak params.leak = 1 env.leak = 1 return old == nil and env.leak end",
    "1",
  ],
  [
    "an object with __gc",
    "function handle() local old = leak setmetatable({}, { __gc = function() leak = 1 string.leak = 1 end }) local t = {} for i = 1, 1e5 do t = { t } if i % 100 == 0 then t = {} end end return old == nil and leak == nil and string.leak == nil end",
    "true",
  ],
  [
    "an error half way",
    "function handle() if half then return 'leak' end half = true error('x') end",
    "error",
  ],
  [
    "a full memory",
    "function handle() if full then return 'leak' end full = {} for i = 1, 1e9 do full[i] = i end end",
    "error",
  ],
];

/** Every run starts from nothing. */
export function testFreshness(subject: Subject): void {
  const engine = subject.create({ "host.wait": async () => Promise.resolve(true) });
  const { each, test } = cases(subject);
  const input = { limits: subject.endlessLimits ?? {} };
  afterAll(() => engine.close());

  for (const run of [1, 2, 3])
    describe(`run ${run} of the same script starts from nothing`, () => {
      each("freshness", leaks, async ([, body, expected]) => {
        const outcome = await runQuery(engine, body, input);
        expect(outcome.kind === "value" ? outcome.json : outcome.kind).toBe(expected);
      });
    });

  test("another script finds nothing either", async () => {
    for (const [, body] of leaks) await runQuery(engine, body, input);
    const names =
      "return { leak == nil, n == nil, co == nil, half == nil, full == nil, string.leak == nil, type(1), getmetatable(_G) == nil }";
    expect(await evaluate(engine, names)).toBe('[true,true,true,true,true,true,"number",true]');
  });

  test("random numbers do not repeat after a fixed seed", async () => {
    await evaluate(engine, "math.randomseed(42) return 1");
    const first = await evaluate(engine, "return math.random(0)");
    expect(await evaluate(engine, "return math.random(0)")).not.toBe(first);
  });

  test("runs that overlap have a state each", async () => {
    const code = "mine = params.i host.wait() local a = mine mine = a + 100 host.wait() return mine";
    const runs = Array.from({ length: 10 }, (_, i) => evaluate(engine, code, { params: { i: BigInt(i) } }));
    expect(await Promise.all(runs)).toEqual(Array.from({ length: 10 }, (_, i) => String(i + 100)));
  });
}
