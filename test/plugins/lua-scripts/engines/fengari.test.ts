import { describe, expect, test } from "vitest";
import { ScriptError } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { evaluate, runQuery } from "../engine/_run.ts";
import { differences } from "../../../conformance/differences.ts";
import { registered, type Subject } from "./_subject.ts";
import { createFengari as create } from "./_engines.ts";
import { testFreshness } from "./_fresh.ts";
import { testRuns } from "./_runs.ts";
import { testValues } from "./_values.ts";

const fengari: Subject = {
  engine: "fengari",
  create,
  endlessLimits: { instructions: 3_000_000, milliseconds: 60_000 },
};

testValues(fengari);
testRuns(fengari);
testFreshness(fengari);

test("every known difference of this suite is one of its cases", () => {
  const known = differences.flatMap(({ cases }) => cases).filter((name) => name.startsWith("engines: "));
  expect(known.filter((name) => !registered.has(name))).toEqual([]);
});

describe("a budget outlives the errors a script catches", () => {
  test.each([
    ["pcall", "pcall(error, 'x') while true do end"],
    ["xpcall", "xpcall(error, function() end) while true do end"],
    ["a loop in pcall", "while true do pcall(function() while true do end end) end"],
    ["a coroutine", "coroutine.wrap(function() pcall(error, 'x') while true do end end)()"],
    ["a call that waits and fails", "pcall(host.wait) while true do end"],
    ["calls that fail for ever", "while true do pcall(host.wait) end"],
  ])("%s", async (_name, code) => {
    const engine = create({ "host.wait": () => Promise.reject(new ScriptError("no")) });
    const outcome = await runQuery(engine, `function handle() ${code} end`, {
      limits: { instructions: 100_000, milliseconds: 60_000 },
    });
    expect(outcome).toMatchObject({
      kind: "error",
      error: { type: "timeout" },
      used: { instructions: 101_000 },
    });
  });
});

test.each([
  [
    "an integer beyond 32 bits is not wrapped",
    "return { params.n, params.n + 1 }",
    "[5000000000,5000000001]",
  ],
  ["a host reads it as an integer", "return TID.fromUnixMicroseconds(1704067200000000)", '"3khuwc44c2222"'],
  ["a TID as a number loses nothing", "local t = TID() return TID.fromNumber(TID.toNumber(t)) == t", "true"],
  ["below, a float stays one", "return { 5.0, params.n / params.n }", "[5.0,1.0]"],
  ["an early TID as a number is one", "return TID.toNumber('2222222222223')", "1"],
])("%s", async (_name, code, expected) => {
  expect(await evaluate(create(), code, { params: { n: 5_000_000_000n } })).toBe(expected);
});

test.each([
  ["plainly", "local s = 'x' while true do s = s .. s end"],
  [
    "in a coroutine",
    "local co = coroutine.create(function() local s = 'x' while true do s = s .. s end end) error(select(2, coroutine.resume(co)), 0)",
  ],
])("a string that doubles ends at the memory of the run, %s, and may be caught", async (_name, code) => {
  const caught = `local ok, e = pcall(function() ${code} end) return { ok, e }`;
  expect(await evaluate(create(), caught, { limits: { memoryBytes: 4 * 1024 * 1024 } })).toBe(
    '[false,"not enough memory"]',
  );
});
