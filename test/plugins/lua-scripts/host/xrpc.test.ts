import { describe, expect, test } from "vitest";
import { caller, collection, startBench, value } from "./_bench.ts";

const handle = (code: string): string => `function handle(input, ctx)\n${code}\nend`;
const main = (id: string, type: string, parameters?: object): object => ({
  lexicon: 1,
  id,
  defs: { main: { type, ...(parameters ? { parameters } : {}) } },
});

describe("xrpc", () => {
  test("a query of another lexicon, with parameters as that lexicon types them", async () => {
    const bench = await startBench();
    await bench.lexicon(
      main("org.example.other", "query", { type: "params", properties: { n: { type: "integer" } } }),
    );
    await bench.script(
      "xrpc.query:org.example.other",
      handle("return { n = params.n, kind = math.type(params.n), who = caller_did, tags = params.tags }"),
    );
    const code =
      "local r = xrpc.query('org.example.other', { n = 5, tags = { 'a', 'b c' } }) return { r.status, json.decode(r.body) }";
    expect(await value(bench.query(code, { signedIn: true }))).toEqual([
      200,
      { n: 5, kind: "integer", who: caller, tags: ["a", "b c"] },
    ]);
    expect(
      await value(bench.query("return json.decode(xrpc.query('org.example.other').body).who == nil")),
    ).toBe(true);
  });

  test("the default of a lexicon without a script", async () => {
    const bench = await startBench();
    await bench.put("one", { text: "a" });
    await bench.lexicon(main("org.example.list", "query"), { target_collection: collection });
    expect(await value(bench.query("return #json.decode(xrpc.query('org.example.list').body).records"))).toBe(
      1,
    );
  });

  test("a procedure inside a procedure, as its caller", async () => {
    const bench = await startBench();
    await bench.lexicon(main("org.example.inner", "procedure"));
    await bench.script(
      "xrpc.procedure:org.example.inner",
      handle("return { got = input, who = caller_did, q = params.q }"),
    );
    const code =
      "return json.decode(xrpc.procedure('org.example.inner', { a = { 1, 2 } }, { q = 'x' }).body)";
    expect(await value(bench.procedure(code))).toEqual({ got: { a: [1, 2] }, who: caller, q: "x" });
  });

  test.each([
    [
      "of the wrong type",
      "xrpc.query('org.example.run.procedure')",
      "xrpc query failed: bad request: org.example.run.procedure is not a query endpoint",
    ],
    [
      "without a caller",
      "xrpc.procedure('org.example.run.procedure', {})",
      "xrpc.procedure requires authentication (no caller_did)",
    ],
    [
      "that fails",
      "xrpc.query('org.example.bad')",
      "xrpc query failed: script runtime error in org.example.bad at line 2: no luck",
    ],
    [
      "for a record that is not there",
      "xrpc.query('org.example.list', { uri = 'at://a/b/c' })",
      "xrpc query failed: not found: record not found",
    ],
    ["of what cannot be located", "xrpc.query('org')", /^xrpc query failed: /],
    [
      "with input that is no JSON",
      "xrpc.procedure('org.example.inner', { f = print })",
      /^xrpc procedure failed: deserialize error/,
    ],
  ])("a call %s raises", async (_name, call, message) => {
    const bench = await startBench();
    await bench.lexicon(main("org.example.bad", "query"));
    await bench.lexicon(main("org.example.list", "query"), { target_collection: collection });
    await bench.script("xrpc.query:org.example.bad", handle("error('no luck')"));
    const text = await value(
      bench.query(`local ok, e = pcall(function() return ${call} end) return (e:gsub('^.-:%d+: ', ''))`),
    );
    expect(text).toEqual(message instanceof RegExp ? expect.stringMatching(message) : message);
  });

  test("a script that calls itself ends at its depth, and no thread is lost to it", async () => {
    const bench = await startBench({ workers: 2 });
    const code =
      "local ok, e = pcall(xrpc.query, 'org.example.run.query') return ok and json.decode(e.body) + 1 or 0";
    expect(await value(bench.query(code))).toBe(8);
    const many = await Promise.all(
      Array.from({ length: 60 }, async () => (await bench.request("/xrpc/org.example.run.query")).json()),
    );
    expect(many).toEqual(Array(60).fill(8));
  });
});

describe("procedures", () => {
  test("globals, input and context", async () => {
    const bench = await startBench();
    const code =
      "return { method, collection, caller_did, input.a, params.q == nil, delegate_did == nil, ctx.method, ctx.caller_did, ctx.has_pds_auth, input == _G.input }";
    expect(await value(bench.procedure(code, { a: 1 }))).toEqual([
      "org.example.run.procedure",
      collection,
      caller,
      1,
      true,
      true,
      "org.example.run.procedure",
      caller,
      false,
      true,
    ]);
  });

  test.each([
    ["a list", [1, 2]],
    ["a number", 5],
    ["null", null],
  ])("input may be %s", async (_name, input) => {
    const bench = await startBench();
    expect(await value(bench.procedure("return input", input))).toEqual(input);
  });

  test("delegateDid is taken out of the input, and needs somebody who knows delegates", async () => {
    const bench = await startBench();
    expect(await bench.procedure("return 1", { delegateDid: "did:plc:x" })).toEqual({
      status: 401,
      body: { error: "delegation requires DPoP authentication" },
    });
    const asked: unknown[] = [];
    const pds = {
      session: async (request: { delegateDid?: string | undefined }) => void asked.push(request.delegateDid),
    };
    const knowing = await startBench({
      pds: { session: async (request) => (await pds.session(request), undefined) },
    });
    const code = "return { input.delegateDid == nil, input.a, delegate_did, ctx.delegate_did, caller_did }";
    expect(await value(knowing.procedure(code, { delegateDid: "did:plc:x", a: 1 }))).toEqual([
      true,
      1,
      "did:plc:x",
      "did:plc:x",
      caller,
    ]);
    expect(asked).toEqual(["did:plc:x"]);
  });

  test.each([
    [
      "a runtime error",
      "local x = nil\nreturn x.y",
      500,
      { error: "script_error", errorType: "runtime", line: 3 },
    ],
    ["an AUTH_ERROR", "error('AUTH_ERROR:sign in', 0)", 401, { error: "sign in" }],
    [
      "a cyclic result",
      "local t = {} t.t = t return t",
      500,
      { errorType: "runtime", message: "deserialize error: recursive table detected" },
    ],
    [
      "an error that refuses tostring",
      "error(setmetatable({}, { __tostring = function() error('no') end }))",
      500,
      { errorType: "runtime" },
    ],
  ])("%s", async (_name, code, status, body) => {
    const bench = await startBench();
    expect(await bench.procedure(code)).toMatchObject({ status, body });
    expect(bench.events.filter((event) => event.type === "script.error")).toHaveLength(1);
  });

  test("anonymous callers are refused before a script runs", async () => {
    const bench = await startBench();
    const response = await bench.request("/xrpc/org.example.run.procedure", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(response.status).toBe(401);
  });
});
