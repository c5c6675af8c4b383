import { describe, expect, test } from "vitest";
import { databases } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import { adminHeaders } from "../../setup/app.ts";
import { author, caller, collection, index, procedure, query, startBench } from "./_reports.ts";

const measured = (of: unknown): object => ({ used: expect.any(Number), of });
const limits = {
  instructions: measured(50_000_000),
  ms: measured(10_000),
  memory_bytes: measured(64 * 1024 * 1024),
  http_requests: { used: 0, of: 100 },
  http_bytes: { used: 0, of: 500_000_000 },
  result_bytes: { of: 16 * 1024 * 1024 },
  raw_rows: { used: 0, of: 10_000 },
  raw_bytes: { used: 0, of: 32 * 1024 * 1024 },
  raw_ms: { used: 0, of: 10_000 },
};

describe.each(databases())("what the event log on $name tells of a script that failed", (subject) => {
  test("a query: where, why, on which input, whose, and what it used", async () => {
    const bench = await startBench({ subject });
    await bench.script(query, "local tag = params.tag\nreturn tag.name.first");
    expect(await bench.ask("?tag=a&limit=5")).toMatchObject({ status: 500, body: { line: 3 } });
    expect(await bench.entry("script.error")).toMatchObject({
      severity: "error",
      actor_did: null,
      subject: query,
    });
    expect((await bench.entry("script.error")).detail).toEqual({
      trigger: query,
      source: `${query}:3`,
      error: "attempt to index a nil value (field 'name')",
      error_type: "runtime",
      line: 3,
      traceback: `stack traceback:\n\t${query}:3: in function 'handle'`,
      script_source: "function handle(input, ctx)\nlocal tag = params.tag\nreturn tag.name.first\nend",
      input: { params: { tag: "a", limit: 5 } },
      caller_did: null,
      method: "org.example.notes",
      duration_ms: expect.any(Number),
      limits,
    });
  });

  test("a procedure: its body too, and its caller", async () => {
    const bench = await startBench({ subject });
    await bench.script(procedure, "error('no: ' .. input.name)");
    await bench.make({ name: "x" });
    expect(await bench.entry("script.error")).toMatchObject({
      actor_did: caller,
      detail: { error: "no: x", input: { params: {}, input: { name: "x" } }, caller_did: caller },
    });
  });

  test("a record script: the record, in the event of its dead letter", async () => {
    const bench = await startBench({ subject });
    await bench.script(index, "return record.missing.field");
    await bench.record({ text: "v1" });
    expect(await bench.entry("script.dead_lettered")).toMatchObject({
      severity: "error",
      subject: `at://${author}/${collection}/k1`,
      detail: {
        trigger: index,
        source: `${index}:2`,
        error: "runtime at line 2: attempt to index a nil value (field 'missing')",
        error_type: "runtime",
        traceback: expect.stringContaining("in function 'handle'"),
        input: { action: "create", uri: `at://${author}/${collection}/k1`, record: { text: "v1" } },
        caller_did: author,
        attempts: 2,
        limits: { ...limits, ms: measured(30_000) },
      },
    });
  });

  test("a job: its input, and no limit where it has none", async () => {
    const bench = await startBench({ subject });
    await bench.script("job.run:count", "return input.list.n.n");
    const job = await bench.job("count", { list: [1] });
    expect(job["error"]).toBe("runtime: job.run:count:2: attempt to index a nil value (field 'n')");
    expect(await bench.entry("script.error")).toMatchObject({
      actor_did: caller,
      subject: "job.run:count",
      detail: {
        input: { list: [1] },
        job_id: job.id,
        limits: { instructions: measured(null), ms: measured(null) },
      },
    });
  });
});

describe("the place of an error", () => {
  const longName = `org.example.${"quite".repeat(11)}.notes`;

  test("is the file that the script was deployed from, however long its name is", async () => {
    const path = `xrpc.query/${longName}.lua`;
    const text = "local function inner()\n  error('boom')\nend\nfunction handle()\n  inner()\nend";
    const bench = await startBench({ files: { [path]: text } });
    const lexicon = { lexicon: 1, id: longName, defs: { main: { type: "query" } } };
    await bench.request("/admin/lexicons", jsonBody("POST", { lexicon_json: lexicon }, adminHeaders));
    const response = await bench.request(`/xrpc/${longName}`);
    expect(await response.json()).toMatchObject({ message: "boom", line: 2 });
    expect((await bench.entry("script.error")).detail).toMatchObject({
      trigger: `xrpc.query:${longName}`,
      source: `scripts/${path}:2`,
      traceback: [
        "stack traceback:",
        "\t[C]: in function 'error'",
        `\tscripts/${path}:2: in upvalue 'inner'`,
        `\tscripts/${path}:5: in function 'handle'`,
      ].join("\n"),
    });
  });

  test("is the line of a module, and the answer has the line that led there", async () => {
    const files = { "lib/text.lua": "local lib = {}\nfunction lib.slug(t)\n  return t.x.y\nend\nreturn lib" };
    const bench = await startBench({ files });
    await bench.script(query, "\n\nlocal text = require('lib.text')\nlocal s = text.slug({})\nreturn s");
    const message = "scripts/lib/text.lua:3: attempt to index a nil value (field 'x')";
    expect(await bench.ask()).toMatchObject({ status: 500, body: { message, line: 5 } });
    expect((await bench.entry("script.error")).detail).toMatchObject({
      source: "scripts/lib/text.lua:3",
      traceback: expect.stringMatching(/^stack traceback:\n\tscripts\/lib\/text\.lua:3: .*\n\txrpc\.query:/),
    });
  });

  test("of an error that is no text is the innermost line of the traceback", async () => {
    const bench = await startBench();
    await bench.script(query, "\nerror({ code = 1 })");
    expect(await bench.ask()).toMatchObject({ body: { line: null } });
    expect((await bench.entry("script.error")).detail).toMatchObject({ source: `${query}:3`, line: null });
  });

  test("shows nothing of our own Lua code", async () => {
    const bench = await startBench();
    await bench.script(query, "return http.get('http://127.0.0.1:1/')");
    await bench.ask();
    expect((await bench.entry("script.error")).detail).toMatchObject({
      source: `${query}:2`,
      traceback: `stack traceback:\n\t[C]: in field 'get'\n\t${query}:2: in function 'handle'`,
    });
  });
});

describe("a limit", () => {
  test.each([
    ["instructions", "while true do end", { instructions: 100_000 }, 408, { used: 101_000, of: 100_000 }],
    ["ms", "while true do end", { milliseconds: 50 }, 408, measured(50)],
    ["memory_bytes", "return ('x'):rep(1e8)", { memoryBytes: 1e6 }, 500, measured(1e6)],
    ["result_bytes", "return ('x'):rep(1000)", { resultBytes: 100 }, 500, { of: 100 }],
    ["raw_rows", "db.raw('SELECT 1 UNION ALL SELECT 2')", { rawRows: 1 }, 500, { used: 2, of: 1 }],
    ["raw_bytes", "db.raw('SELECT 1 AS n')", { rawBytes: 5 }, 500, { used: 7, of: 5 }],
  ])("of %s is told with what was used of what", async (limit, code, given, status, counted) => {
    const bench = await startBench({ limits: given });
    await bench.script(query, code);
    expect((await bench.ask()).status).toBe(status);
    expect((await bench.entry("script.error")).detail).toMatchObject({ limit, limits: { [limit]: counted } });
  });

  test("that a job passes with its result fails the job", async () => {
    const bench = await startBench({ limits: { resultBytes: 100 } });
    await bench.script("job.run:large", "return ('x'):rep(1000)");
    expect(await bench.job("large", {})).toMatchObject({
      status: "failed",
      error: "runtime: the value is larger than 100 bytes of JSON",
    });
    expect((await bench.entry("script.error")).detail["limit"]).toBe("result_bytes");
  });
});

describe("an entry of the event log", () => {
  test.each([
    ["a long error", "error(('x'):rep(1e6))", {}],
    ["signs that JSON writes long", "error(('\\1'):rep(1e5))", {}],
    [
      "a deep traceback",
      "local function f(n) if n == 0 then error('x') end f(n - 1) return 1 end f(1000)",
      {},
    ],
    ["a large input", "error('x')", { a: "y".repeat(1e6) }],
    ["a large script", `error('x')${"\n-- more".repeat(50_000)}`, {}],
    [
      "all of them",
      `local function f(n) if n == 0 then error(('\\1'):rep(1e5)) end f(n - 1) return 1 end f(1000)${"\n-- é".repeat(50_000)}`,
      { a: "é\n".repeat(5e5) },
    ],
  ])("keeps all parts of %s", async (_name, code, input) => {
    const bench = await startBench();
    await bench.script(procedure, code);
    await bench.make(input);
    const { detail } = await bench.entry("script.error");
    expect(Object.keys(detail)).toEqual(
      expect.arrayContaining(["source", "error", "line", "traceback", "input", "script_source", "limits"]),
    );
    expect(Buffer.byteLength(JSON.stringify(detail))).toBeLessThan(16 * 1024);
    expect(detail["script_source"]).toContain("error(");
  });

  test("shows the lines of a long script about the one that failed", async () => {
    const bench = await startBench();
    const lines = Array.from({ length: 500 }, (_, i) => `local x${i % 150} = ${i}`);
    lines[100] = "do local y = nil + 1 end";
    await bench.script(query, `do ${lines.join(" end do\n")} end`);
    await bench.ask();
    const source = String((await bench.entry("script.error")).detail["script_source"]).split("\n");
    expect(source[0]).toBe("-- lines 96 to 108 of 502");
    expect(source[7]).toContain("nil + 1");
  });
});

describe("secrets", () => {
  const secret = "meilisearch/master key=0123456789";
  const quoted = 'with "quotes"';

  test("are masked in events, answers, dead letters, jobs and the process log", async () => {
    const bench = await startBench();
    await bench.variable("MEILI_KEY", secret);
    await bench.variable("QUOTED", quoted);
    const talk = `log('log ' .. env.MEILI_KEY) print('print ' .. env.QUOTED)
      local logging = require('internal.logging')
      logging.debug('debug ' .. env.MEILI_KEY, { key = env.MEILI_KEY })
      logging.warn('warn', { key = env.MEILI_KEY, q = env.QUOTED })`;
    const fail = "local function inner() error('refused: ' .. env.MEILI_KEY) end inner()";

    await bench.script(query, `${talk}\n${fail}`);
    const answer = await bench.ask(`?token=${encodeURIComponent(secret)}&q=${encodeURIComponent(quoted)}`);
    expect(answer.body).toMatchObject({ message: "refused: <env.MEILI_KEY>" });
    expect((await bench.entry("script.error")).detail).toMatchObject({
      error: "refused: <env.MEILI_KEY>",
      input: { params: { token: "<env.MEILI_KEY>", q: "<env.QUOTED>" } },
    });
    await bench.script(query, "error('AUTH_ERROR:' .. env.MEILI_KEY)");
    const refused = await bench.ask();
    expect(refused).toEqual({ status: 401, body: { error: "<env.MEILI_KEY>" } });

    await bench.script(index, `${talk}\n${fail}`);
    await bench.record({ text: secret });
    await bench.script("job.run:tell", `job.log(env.MEILI_KEY)\n${talk}\n${fail}`);
    const job = await bench.job("tell", { q: quoted });
    expect(job["error"]).toBe("runtime: job.run:tell:7: refused: <env.MEILI_KEY>");

    const shown = {
      answer,
      events: await bench.get("/admin/events?category=script&limit=100"),
      jobError: job["error"],
      jobLog: await bench.get(`/admin/jobs/${job.id}/logs`),
      letters: await bench.get("/admin/dead-letters"),
      log: bench.log,
    };
    for (const [where, text] of Object.entries(shown).map(
      ([key, value]) => [key, JSON.stringify(value)] as const,
    )) {
      expect(text, where).toContain("<env.");
      for (const part of [secret, JSON.stringify(quoted).slice(1, -1), quoted])
        expect(text, where).not.toContain(part);
    }
  });

  test("are masked where a text is cut in the midst of one", async () => {
    const bench = await startBench();
    const long = "0123456789".repeat(1000);
    await bench.variable("KEY", long);
    await bench.script(query, "error(('x'):rep(16000) .. env.KEY)");
    await bench.ask();
    await bench.script(query, "error(('x'):rep(2000) .. env.KEY)");
    await bench.ask();
    const texts = JSON.stringify([await bench.get("/admin/events?category=script"), bench.log]);
    expect(texts).not.toContain("0123456789");
  });
});

describe("script.executed", () => {
  test("is kept with input and answer while verbose logging is on", async () => {
    const bench = await startBench();
    await bench.script(procedure, "return { got = input.n }");
    await bench.make({ n: 1 });
    expect(await bench.entries("script.executed")).toEqual([]);
    await bench.verbose();
    await bench.make({ n: 2 });
    expect(await bench.entries("script.executed")).toMatchObject([
      {
        severity: "info",
        actor_did: caller,
        subject: procedure,
        detail: {
          trigger: procedure,
          method: "org.example.make",
          input: { params: {}, input: { n: 2 } },
          response: { got: 2 },
          caller_did: caller,
          duration_ms: expect.any(Number),
        },
      },
    ]);
  });

  test("has the beginning of what is large", async () => {
    const bench = await startBench();
    await bench.verbose();
    await bench.script(procedure, "return { a = ('é'):rep(1e5) }");
    await bench.make({ n: "x".repeat(1e5) });
    const { detail } = await bench.entry("script.executed");
    expect(detail["response"]).toMatch(/^\{"a":"é+…$/);
    expect(detail["input"]).toMatch(/^\{"params":\{\},"input":\{"n":"x+…$/);
  });
});

describe("the log of a script", () => {
  test("has the levels and fields of internal.logging", async () => {
    const bench = await startBench();
    await bench.script(
      query,
      `local log = require('internal.logging')
      log.debug('one') log.info('two') log.warn('three', { a = 1.0 }) log.error('four', {}) _G.log('five')
      print('six', 6)
      return 1`,
    );
    await bench.ask();
    const entries = await bench.entries("script.log");
    expect(entries.map(({ severity, detail }) => [severity, detail]).toReversed()).toEqual([
      ["info", { trigger: query, message: "two", level: "info" }],
      ["warn", { trigger: query, message: "three", level: "warn", fields: { a: 1 } }],
      ["error", { trigger: query, message: "four", level: "error" }],
      ["info", { trigger: query, message: "five" }],
    ]);
    expect(bench.log.filter((line) => line["trigger"] === query)).toMatchObject([
      { level: "debug", message: "one" },
      { level: "info", message: "six\t6" },
    ]);
  });

  test("is also the log of a job", async () => {
    const bench = await startBench();
    await bench.script(
      "job.run:tell",
      "local log = require('internal.logging')\nlog.debug('a') log.info('b') log.warn('c', { n = 1 }) log.error('d')",
    );
    const { id } = await bench.job("tell", {});
    expect(await bench.get(`/admin/jobs/${id}/logs`)).toMatchObject({
      logs: [
        { level: "info", message: "b" },
        { level: "warn", message: 'c {"n":1}' },
        { level: "warn", message: "d" },
      ],
    });
  });
});

describe("the body of a procedure reaches its script as it was sent", () => {
  const kinds = "return { math.type(input.f), input.f, math.type(input.i), input.i }";
  const body = '{"f": 5.0, "i": 9007199254740993}';
  const exact = '["float",5.0,"integer",9007199254740993]';

  test.each([
    ["numbers", body],
    ["numbers beside a delegate", '{"delegateDid": 5, "f": 5.0, "i": 9007199254740993}'],
  ])("%s", async (_name, text) => {
    const bench = await startBench();
    await bench.script(procedure, kinds);
    const response = await bench.request(
      "/xrpc/org.example.make",
      jsonBody("POST", text, { authorization: "Test caller" }),
    );
    expect(await response.text()).toBe(exact);
  });

  test("numbers through a nested call", async () => {
    const bench = await startBench();
    await bench.script(
      procedure,
      `if input.inner then input = input.inner ${kinds} end
      return json.decode(xrpc.procedure('org.example.make', { inner = input }).body)`,
    );
    const response = await bench.request(
      "/xrpc/org.example.make",
      jsonBody("POST", body, { authorization: "Test caller" }),
    );
    expect(await response.text()).toBe(exact);
  });
});
