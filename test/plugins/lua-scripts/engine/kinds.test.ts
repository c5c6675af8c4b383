import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ScriptOutcome } from "../../../../plugins/lua-scripts/engine/engine.ts";
import type { HostFunctions } from "../../../../plugins/lua-scripts/engine/host.ts";
import type { JobRequest, LabelEvent } from "../../../../plugins/lua-scripts/engine/script-run.ts";
import { openTestPool, type TestPool } from "./_pool.ts";

let pool: TestPool;
beforeAll(async () => {
  pool = await openTestPool();
});
afterAll(() => pool.close());

const handle = (code: string): string => `function handle(input, ctx)\n${code}\nend`;
const value = (outcome: ScriptOutcome): unknown => {
  if (outcome.kind === "error") throw new Error(outcome.error.message);
  return outcome.kind === "nil" ? undefined : JSON.parse(outcome.json);
};

describe("label runs (spec 1.4)", () => {
  const label: LabelEvent = {
    src: "did:plc:l",
    uri: "at://did:plc:x/a.b/1",
    val: "spam",
    neg: false,
    cts: "2026-01-01T00:00:00Z",
  };
  const run = (code: string, given: Partial<LabelEvent> = {}): Promise<ScriptOutcome> =>
    pool.pool.run({
      kind: "label",
      script: { trigger: "labeler.apply:a.b", body: handle(code) },
      env: { K: "v" },
      label: { ...label, ...given },
    });

  test("globals, event, input and context", async () => {
    const code =
      "return { src, uri, val, neg, cts, exp == nil, event.val, event.exp == nil, input.src, env.K, ctx.env.K, ctx.trigger, ctx.caller_did == nil, caller_did == nil, ctx.has_pds_auth }";
    expect(value(await run(code))).toEqual([
      label.src,
      label.uri,
      "spam",
      false,
      label.cts,
      true,
      "spam",
      true,
      label.src,
      "v",
      "v",
      "labeler.apply:a.b",
      true,
      true,
      false,
    ]);
    expect(value(await run("return { exp, event.exp }", { exp: "2027-01-01T00:00:00Z" }))).toEqual(
      Array(2).fill("2027-01-01T00:00:00Z"),
    );
  });

  test("nil, a table, anything else", async () => {
    expect(await run("return nil")).toMatchObject({ kind: "nil" });
    expect(await run("return { val = 'x' }")).toMatchObject({
      kind: "value",
      isTable: true,
      json: '{"val":"x"}',
    });
    expect(await run("return print")).toMatchObject({ kind: "value", isTable: false });
  });
});

describe("job runs (spec 1.7)", () => {
  const run = (
    code: string,
    job: Partial<JobRequest> = {},
    host: HostFunctions = {},
  ): Promise<ScriptOutcome> =>
    pool.pool.run(
      {
        kind: "job",
        script: { trigger: "job.run:test", body: handle(code) },
        env: { K: "v" },
        job: { id: "j1", input: '{"a":[1,2.0]}', createdBy: "did:plc:c", ...job },
      },
      { host },
    );

  test("globals, input and context of both generations", async () => {
    const code =
      "return { job.id, job.input.a[1], math.type(job.input.a[2]), input.a[1], ctx.job.id, ctx.caller_did, caller_did, _G.input == nil, params == nil, type(job.log), type(ctx.job.wait), ctx.job.log == nil }";
    expect(value(await run(code))).toEqual([
      "j1",
      1,
      "float",
      1,
      "j1",
      "did:plc:c",
      "did:plc:c",
      true,
      true,
      "function",
      "function",
      true,
    ]);
  });

  test("the functions of job reach the host", async () => {
    const seen: unknown[] = [];
    const note =
      (name: string, result?: unknown) =>
      (args: readonly unknown[]): unknown => {
        seen.push([name, ...args]);
        return result;
      };
    const host = {
      "job.progress": note("progress"),
      "job.should_stop": note("should_stop", true),
      "job.wait": note("wait"),
      "job.log": note("log"),
    };
    const code =
      "job.progress({ n = 1 }) job.wait(2) job.wait() job.log('a') job.warn('b') require('internal.logging').error('c') return { job.should_stop(), ctx.job.should_stop() }";
    expect(value(await run(code, {}, host))).toEqual([true, true]);
    expect(seen).toEqual([
      ["progress", '{"n":1}'],
      ["wait", 2],
      ["wait", 0],
      ["log", "info", "a"],
      ["log", "warn", "b"],
      ["log", "error", "c"],
      ["should_stop"],
      ["should_stop"],
    ]);
  });

  test("no instruction or time limit, but the ceiling of memory", async () => {
    const small = await openTestPool({
      limits: { instructions: 10_000, milliseconds: 1, memoryBytes: 4_000_000 },
    });
    const spin = { kind: "job", env: {}, job: { id: "1", input: "null", createdBy: "" } } as const;
    const body = handle("local n = 0 for i = 1, 3e6 do n = n + 1 end return { n, tostring(input) }");
    const outcome = await small.pool.run({ ...spin, script: { trigger: "job.run:a", body } });
    expect(outcome).toMatchObject({ kind: "value", json: expect.stringContaining("[3000000") });
    const large = handle("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end");
    const full = await small.pool.run({ ...spin, script: { trigger: "job.run:b", body: large } });
    expect(full).toMatchObject({ kind: "error", error: { type: "memory" } });
    await small.close();
  });

  test("a result that is no JSON is null", async () => {
    expect(await run("return { f = print }")).toMatchObject({ kind: "value", json: "null" });
    expect(await run("local t = {} t.t = t return t")).toMatchObject({ kind: "value", json: "null" });
    expect(await run("return nil")).toMatchObject({ kind: "nil" });
  });
});
