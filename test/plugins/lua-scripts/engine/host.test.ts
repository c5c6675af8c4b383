import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ScriptError } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { jsonResult, type HostFunctions } from "../../../../plugins/lua-scripts/engine/host.ts";
import type { ScriptRun } from "../../../../plugins/lua-scripts/engine/script-run.ts";
import { openTestPool, type TestPool } from "./_pool.ts";

let pool: TestPool;

beforeAll(async () => {
  pool = await openTestPool();
});
afterAll(() => pool.close());

const queryRun = (code: string): ScriptRun => ({
  kind: "query",
  script: { trigger: "xrpc.query:test.example.query", body: `function handle()\n${code}\nend` },
  env: {},
  query: { method: "test.example.query", params: {}, collection: "test.example.record" },
});

/** `http.get(url)` is the call whose answer the test gives. */
async function run(code: string, answer: HostFunctions[string], signal?: AbortSignal): Promise<unknown> {
  const host = { "http.request": answer };
  const outcome = await pool.pool.run(queryRun(code), { host, ...(signal ? { signal } : {}) });
  if (outcome.kind === "error") throw new Error(`${outcome.error.type}: ${outcome.error.message}`);
  return outcome.kind === "nil" ? undefined : JSON.parse(outcome.json);
}

describe("an answer of the main thread", () => {
  test.each<[string, unknown, string, unknown]>([
    ["nothing is nil", undefined, "return type(r)", "nil"],
    ["null is the sentinel", null, "return type(r)", "userdata"],
    ["a text", "x", "return r .. 'y'", "xy"],
    ["an integer", 5, "return math.type(r)", "integer"],
    [
      "JSON text stays text",
      jsonResult('{"a":9007199254740993,"b":1.0}'),
      "return { r.a, math.type(r.b) }",
      [9_007_199_254_740_992, "float"],
    ],
    ["an object that looks like JSON text does not", { json: "1" }, "return r.json", "1"],
    ["a list", [1, null, 3], "return { #r, type(r[2]) }", [3, "userdata"]],
  ])("%s", async (_name, result, code, expected) => {
    expect(await run(`local r = http.get('x') ${code}`, () => result)).toEqual(expected);
    expect(await run(`local r = http.get('x') ${code}`, async () => result)).toEqual(expected);
  });

  test("an error for the script can be caught; its place is the script's", async () => {
    const refuse = (): never => {
      throw new ScriptError("refused: {x}");
    };
    expect(await run("return select(2, pcall(http.get, 'x'))", refuse)).toBe("refused: {x}");
    const outcome = await pool.pool.run(queryRun("\nhttp.get('x')"), { host: { "http.request": refuse } });
    expect(outcome).toMatchObject({
      kind: "error",
      error: { type: "runtime", message: "refused: {x}", line: 3 },
    });
  });

  test("of another error the script learns nothing", async () => {
    const broken = (): never => {
      throw new Error("password=secret at /a/path");
    };
    expect(await run("return select(2, pcall(http.get, 'x'))", broken)).toBe("http.request failed");
    expect(await run("return select(2, pcall(http.get, 'x'))", async () => ({ n: 1n }))).toBe(
      "http.request failed",
    );
  });

  test("what would not fit the script's memory is not sent", async () => {
    const large = (): string => "x".repeat(70 * 1024 * 1024);
    expect(await run("return select(2, pcall(http.get, 'x'))", large)).toBe("not enough memory");
  });

  test("what is not offered says so; names of JavaScript are no functions", async () => {
    const code =
      "return { (select(2, pcall(atproto.get_labels, 'x'))), (select(2, pcall(xrpc.query, 'x'))) }";
    expect(await run(code, () => 1)).toEqual([
      "atproto.labels is not available here",
      "xrpc.call is not available here",
    ]);
  });
});

test("arguments arrive as JSON values; a value that is none raises first", async () => {
  const seen: unknown[] = [];
  const note = (args: readonly unknown[]): unknown => void seen.push(args);
  await run("http.post('u', { body = 'b', headers = { a = 1, b = 2.5 } })", note);
  expect(seen).toEqual([[{ method: "post", url: "u", headers: { a: "1", b: "2.5" }, body: "b" }]]);
});

test("waits do not count as the script's time", async () => {
  const wait = (): Promise<number> => new Promise((done) => setTimeout(done, 150, 1));
  const outcome = await pool.pool.run(
    { ...queryRun("return http.get('x')"), limits: { milliseconds: 100 } },
    { host: { "http.request": wait } },
  );
  expect(outcome).toMatchObject({ kind: "value", json: "1" });
});

test("in coroutines and error handlers a call waits as anywhere", async () => {
  const code = `local co = coroutine.wrap(function() coroutine.yield(http.get('a')) return http.get('b') end)
    local ok, handled = xpcall(function() error(http.get('c')) end, function(e) return e end)
    return { co(), co(), handled }`;
  const echo = async ([request]: readonly unknown[]): Promise<unknown> => (request as { url: string }).url;
  expect(await run(code, echo)).toEqual(["a", "b", expect.stringContaining("c")]);
});

describe("a run that is given up", () => {
  test("drops its calls, and the thread is free", async () => {
    const controller = new AbortController();
    let dropped: AbortSignal | undefined;
    const stalled = run(
      "while true do pcall(http.get, 'x') end",
      (_args, { signal }) => {
        dropped = signal;
        setImmediate(() => controller.abort(new Error("gone")));
        return new Promise(() => {});
      },
      controller.signal,
    );
    await expect(stalled).rejects.toThrow("gone");
    expect(dropped?.aborted).toBe(true);
    expect(await Promise.all(Array.from({ length: 20 }, () => pool.evaluate("return 1")))).toEqual(
      Array(20).fill("1"),
    );
  });

  test("ends a job that computes for ever", async () => {
    const controller = new AbortController();
    const one = await openTestPool({ workers: 1 });
    const body = "function handle() while true do pcall(function() while true do end end) end end";
    const job = one.pool.run(
      {
        kind: "job",
        script: { trigger: "job.run:spin", body },
        env: {},
        job: { id: "1", input: "{}", createdBy: "did:plc:x" },
      },
      { signal: controller.signal },
    );
    setTimeout(() => controller.abort(new Error("cancelled")), 100);
    await expect(job).rejects.toThrow("cancelled");
    expect(await one.evaluate("return 1")).toBe("1");
    await one.close();
  });
});

describe("a thread that ends while a run waits", () => {
  const exponential = "string.find(('a'):rep(60000) .. 'b', ('.-'):rep(12) .. 'c')";
  const killThread = (of: TestPool): Promise<unknown> =>
    of.query(exponential, { limits: { milliseconds: 100 } });

  test.each([
    ["a query begins again", "query", 2],
    ["a procedure does not, for its effects would happen twice", "procedure", 1],
  ])("%s", async (_name, kind, times) => {
    const one = await openTestPool({ workers: 1 });
    const signals: AbortSignal[] = [];
    const host: HostFunctions = {
      "http.request": (_args, { signal }) => {
        signals.push(signal);
        return signals.length === times && kind === "query" ? 1 : new Promise(() => {});
      },
    };
    const query = { method: "a.b", params: {}, collection: "" };
    const script = { trigger: "a", body: "function handle() return http.get('x') end" };
    const waiting = one.pool.run(
      kind === "query"
        ? { kind: "query", script, env: {}, query }
        : {
            kind: "procedure",
            script,
            env: {},
            procedure: { ...query, input: "{}", callerDid: "did:plc:x" },
          },
      { host },
    );
    const settled = Promise.allSettled([waiting]);
    await expect.poll(() => signals.length, { timeout: 20_000 }).toBe(1);
    await killThread(one);
    const [result] = await settled;
    if (kind === "query") expect(result).toMatchObject({ value: { kind: "value", json: "1" } });
    else expect(result).toMatchObject({ status: "rejected" });
    expect(signals).toHaveLength(times);
    expect(signals[0]?.aborted).toBe(true);
    await one.close();
  });
});

test("ten thousand calls that nobody answers", async () => {
  const one = await openTestPool({ workers: 1 });
  let pending = 0;
  const code = `local async, fs = require('internal.async'), {}
    for i = 1, 10000 do fs[i] = function() http.get('x') end end
    async.all(table.unpack(fs))`;
  const controller = new AbortController();
  const stalled = one.pool.run(queryRun(code), {
    signal: controller.signal,
    host: { "http.request": () => new Promise(() => void pending++) },
  });
  const settled = Promise.allSettled([stalled]);
  await expect.poll(() => pending, { timeout: 20_000 }).toBe(32);
  expect(await one.evaluate("return 1")).toBe("1");
  controller.abort(new Error("enough"));
  await settled;
  expect(pending).toBe(32);
  await one.close();
});
