import { describe, expect, test } from "vitest";
import { ScriptError } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { evaluate, runQuery } from "../engine/_run.ts";
import type { Subject } from "./_subject.ts";
import { createFengari as create } from "./_engines.ts";
import { fengariExceptions as exceptions } from "./_exceptions.ts";
import { testFreshness } from "./_fresh.ts";
import { testRuns } from "./_runs.ts";
import { testValues } from "./_values.ts";

const fengari: Subject = {
  create,
  exceptions,
  endlessLimits: { instructions: 3_000_000, milliseconds: 60_000 },
};

testValues(fengari);
testRuns(fengari);
testFreshness(fengari);

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
])("%s", async (_name, code, expected) => {
  expect(await evaluate(create(), code, { params: { n: 5_000_000_000n } })).toBe(expected);
});
