import { afterAll, describe, expect } from "vitest";
import { ScriptError, type HostApi } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { createEvent, deleteEvent, evaluate, runQuery, runRecord } from "../engine/_run.ts";
import { cases, type Subject } from "./_subject.ts";

const api: HostApi = {
  "host.wait": async ([value]) => {
    await Promise.resolve();
    if (value === undefined) throw new ScriptError("nothing to wait for");
    return { json: `{"waited":[${String(value)}]}` };
  },
  "host.bug": () => {
    throw new TypeError("a path or a query");
  },
  "host.keys": ([table]) =>
    typeof table === "object" && table !== null ? [...table.fields.keys(), ...table.items].join() : "none",
};

/** Outcomes, errors and waits of runs. */
export function testRuns(subject: Subject): void {
  const engine = subject.create(api);
  const { each, test } = cases(subject);
  afterAll(() => engine.close());

  describe("record scripts", () => {
    each(
      "record scripts",
      [
        ["nothing", "function handle() end", { kind: "nil" }],
        ["nil", "function handle() return nil end", { kind: "nil" }],
        ["true", "function handle() return true end", { kind: "value", isTable: false }],
        ["false", "function handle() return false end", { kind: "value", isTable: false }],
        ["a string", "function handle() return 'x' end", { kind: "value", isTable: false }],
        ["a function", "function handle() return print end", { kind: "value", isTable: false }],
        [
          "JSON null",
          "function handle() return event.x or json.decode('null') end",
          { kind: "value", isTable: false },
        ],
        [
          "a table",
          "function handle() return { a = 1 } end",
          { kind: "value", isTable: true, json: '{"a":1}' },
        ],
        ["the record", "function handle() return { record.title, record.count } end", { json: '["One",5]' }],
        [
          "the record of the event is another table",
          "function handle() record.title = 'x' return { event.record.title } end",
          { json: '["One"]' },
        ],
        [
          "input is the event",
          "function handle(input) return { input == event, input.action } end",
          { json: '[true,"create"]' },
        ],
        [
          "globals",
          "function handle() return { action, uri == event.uri, did == event.did, collection, rkey, env.KEY, type(caller_did), type(params) } end",
          { json: '["create",true,true,"test.example.record","1","value","nil","nil"]' },
        ],
        [
          "ctx",
          "function handle(_, ctx) return { ctx.trigger, ctx.caller_did == did, ctx.collection } end",
          { json: '["record.index:test.example.record",true,"test.example.record"]' },
        ],
      ],
      async ([, body, outcome]) => {
        expect(await runRecord(engine, body, createEvent)).toMatchObject(outcome);
      },
    );

    test("on delete the record is nil and event.record is null", async () => {
      const outcome = await runRecord(
        engine,
        "function handle() return { type(record), type(event.record) } end",
        deleteEvent,
      );
      expect(outcome).toMatchObject({ kind: "value", json: '["nil","userdata"]' });
    });
  });

  describe("failures", () => {
    const failure = async (body: string): Promise<unknown> => {
      const outcome = await runQuery(engine, body);
      return outcome.kind === "error" && [outcome.error.type, outcome.error.line, outcome.error.message];
    };

    each(
      "failures",
      [
        [
          "a syntax error",
          "function handle(\nreturn 1 end",
          ["syntax", 2, "<name> or '...' expected near 'return'"],
        ],
        [
          "an error while loading",
          "\n\nlocal x = nil .. 'a'\nfunction handle() end",
          ["syntax", 3, "attempt to concatenate a nil value"],
        ],
        ["no handle", "local x = 1", ["missing_handle", null, "script does not define a handle() function"]],
        [
          "a handle that is no function",
          "handle = { }",
          ["missing_handle", null, "script does not define a handle() function"],
        ],
        [
          "a runtime error",
          "function handle()\n  local x\n  return x.y\nend",
          ["runtime", 3, "attempt to index a nil value (local 'x')"],
        ],
        ["error with a position", "function handle()\nerror('boom')\nend", ["runtime", 2, "boom"]],
        [
          "error without one",
          "function handle() error('AUTH_ERROR: gone', 0) end",
          ["runtime", null, "AUTH_ERROR: gone"],
        ],
        [
          "an error raised again",
          "function handle()\nlocal ok, e = pcall(error, 'deep')\nerror(e)\nend",
          ["runtime", 3, "deep"],
        ],
        [
          "a table",
          "function handle() error({ code = 7 }) end",
          ["runtime", null, "(error object is a table value)"],
        ],
        ["nil", "function handle() error() end", ["runtime", null, "(error object is a nil value)"]],
        [
          "a table that says what it is",
          "function handle() error(setmetatable({}, { __tostring = function() return 'mine' end })) end",
          ["runtime", null, "mine"],
        ],
        [
          "a table that refuses to say",
          "function handle() error(setmetatable({}, { __tostring = function() error('no') end })) end",
          ["runtime", null, "(error object is a table value)"],
        ],
        [
          "a table that never stops to say",
          "function handle() error(setmetatable({}, { __tostring = function() while true do end end })) end",
          ["timeout", 1, "script exceeded execution time limit"],
        ],
        [
          "a bad argument of ours",
          "function handle()\nlog(nil)\nend",
          ["runtime", 2, "bad argument #1 to 'log' (string expected, got nil)"],
        ],
        [
          "a stack overflow",
          "function handle() local function f() return 1 + f() end return f() end",
          ["runtime", 1, "stack overflow"],
        ],
        [
          "an endless chain of C calls",
          "function handle() local function f() return (string.gsub('a', 'a', f)) end return f() end",
          ["runtime", null, "C stack overflow"],
        ],
        [
          "too deeply nested text",
          `x = ${"(".repeat(300)}1${")".repeat(300)}`,
          ["syntax", null, "C stack overflow"],
        ],
        [
          "a yield to nobody",
          "function handle() coroutine.yield(1) end",
          ["runtime", null, "attempt to yield from outside a coroutine"],
        ],
        ["bytecode", "\u001bLua", ["syntax", null, "attempt to load a binary chunk (mode is 't')"]],
      ],
      async ([, body, expected]) => {
        expect(await failure(body)).toEqual(expected);
      },
    );

    test("the traceback names the script and its lines", async () => {
      const outcome = await runQuery(
        engine,
        "local function inner()\n  error('x')\nend\nfunction handle()\n  inner()\nend",
      );
      const traceback = outcome.kind === "error" ? outcome.error.traceback : "";
      expect(traceback).toContain("xrpc.query:test.example.query:2: in upvalue 'inner'");
      expect(traceback).toContain("xrpc.query:test.example.query:5: in function 'handle'");
    });

    test("a trigger longer than Lua quotes is taken off all the same", async () => {
      const trigger = `record.create:com.${"example".repeat(12)}.post`;
      const body = "function handle()\nerror('boom')\nend";
      const run = { globals: "{}", input: "event", context: "{}", onlyTables: true };
      const { validationLimits: limits } = await import("../../../../plugins/lua-scripts/validate.ts");
      const outcome = await engine.run({ ...run, chunkName: trigger, body, limits });
      expect(outcome).toMatchObject({ kind: "error", error: { message: "boom", line: 2 } });
    });
  });

  describe("host functions that wait", () => {
    each(
      "host functions that wait",
      [
        ["plainly", "return host.wait(1)", '{"waited":[1]}'],
        ["inside pcall", "return { pcall(host.wait, 2) }", '[true,{"waited":[2]}]'],
        [
          "failing inside pcall",
          "local ok, e = pcall(host.wait) return { ok, e }",
          '[false,"nothing to wait for"]',
        ],
        [
          "inside a coroutine",
          "return coroutine.wrap(function() return host.wait(3) end)()",
          '{"waited":[3]}',
        ],
        [
          "between yields of a coroutine",
          "local co = coroutine.wrap(function() coroutine.yield(host.wait(1)) coroutine.yield(host.wait(2)) end) return { co(), co() }",
          '[{"waited":[1]},{"waited":[2]}]',
        ],
        [
          "in nested coroutines",
          "return coroutine.wrap(function() return coroutine.wrap(function() return host.wait(4) end)() end)()",
          '{"waited":[4]}',
        ],
        ["many times", "local n = 0 for i = 1, 50 do n = n + host.wait(i).waited[1] end return n", "1275"],
        [
          "with too many values they are not called",
          "local t, u = {}, {} for i = 1, 10000 do t[i] = i u['k' .. i] = i end local function msg(...) return select(2, pcall(host.wait, ...)) end return { msg(t), msg(u), msg({ t }), msg({ table.unpack(t, 1, 9999) }):find('too many') == nil }",
          '["too many values: at most 10000","too many values: at most 10000","too many values: at most 10000",true]',
        ],
        [
          "in a comparison of table.sort it cannot",
          "return (pcall(table.sort, { 2, 1 }, function() return host.wait(1) end))",
          "false",
        ],
      ],
      async ([, code, expected]) => {
        expect(await evaluate(engine, code)).toBe(expected);
      },
    );

    test("several runs wait at once and do not mix", async () => {
      const runs = Array.from({ length: 20 }, (_, i) =>
        evaluate(engine, "local a = params.i local b = host.wait(a).waited[1] return { a, b }", {
          params: { i: BigInt(i) },
        }),
      );
      expect(await Promise.all(runs)).toEqual(Array.from({ length: 20 }, (_, i) => `[${i},${i}]`));
    });

    test("an error of ours shows the script nothing", async () => {
      expect(await evaluate(engine, "return select(2, pcall(host.bug))")).toBe('"host.bug failed"');
    });

    test("tables arrive with their fields and items", async () => {
      expect(await evaluate(engine, "return host.keys({ a = 1, 'x', 'y' })")).toBe('"a,x,y"');
      expect(await evaluate(engine, "local t = {} t.t = t return host.keys(t)")).toBe('"t"');
    });
  });

  describe("the instructions of coroutines", () => {
    const work = "local n = 0 for k = 1, 300 do n = n + k end";
    each(
      "the instructions of coroutines",
      [
        ["many short ones", `coroutine.wrap(function() ${work} end)()`],
        ["that are resumed", `coroutine.resume(coroutine.create(function() ${work} end))`],
        ["that yield", `local co = coroutine.wrap(function() coroutine.yield() ${work} end) co() co()`],
        ["that fail", `pcall(coroutine.wrap(function() ${work} error('x') end))`],
        ["in coroutines", `coroutine.wrap(function() coroutine.wrap(function() ${work} end)() end)()`],
        [
          "that close",
          `local co = coroutine.create(function()
             local x <close> = setmetatable({}, { __close = function() ${work} end }) coroutine.yield()
           end) coroutine.resume(co) coroutine.close(co)`,
        ],
      ],
      async ([, code]) => {
        const body = `function handle() for i = 1, 100 do ${code} end return 1 end`;
        const { kind, used } = await runQuery(engine, body);
        expect(kind).toBe("value");
        expect(used.instructions).toBeGreaterThanOrEqual(60_000);
        expect(used.instructions).toBeLessThan(80_000);
        const limited = await runQuery(engine, body, { limits: { instructions: 40_000 } });
        expect(limited).toMatchObject({ kind: "error", error: { limit: "instructions" } });
      },
    );

    test("closing what is no coroutine that waits fails at its line", async () => {
      const code = (what: string): string =>
        `\nlocal ok, e = pcall(function() coroutine.close(${what}) end) return e`;
      expect(await evaluate(engine, code("5"))).toBe(
        "\"xrpc.query:test.example.query:3: bad argument #1 to 'close' (thread expected, got number)\"",
      );
      expect(await evaluate(engine, code("coroutine.running()"))).toBe(
        '"xrpc.query:test.example.query:3: cannot close a running coroutine"',
      );
    });
  });

  test("logs and prints are kept apart and bounded", async () => {
    const outcome = await runQuery(
      engine,
      "function handle() log('a') print('b', 1, nil) warn('c') for i = 1, 5000 do log(i) end end",
    );
    expect(outcome.logs.slice(0, 3)).toEqual([{ message: "a" }, { message: "1" }, { message: "2" }]);
    expect(outcome.logs).toHaveLength(1001);
    expect(outcome.logs.at(-1)?.message).toBe("(the rest of the log of this run is dropped)");
    expect(outcome.prints).toEqual(["b\t1\tnil", "c"]);
  });

  describe("validation", () => {
    each(
      "validation",
      [
        ["a good script", "local url = env.HOST .. '/path'\nfunction handle() end", { ok: true }],
        [
          "utilities at the top",
          "local t, n = TID(), now() log('x') local j = json.decode('[]')\nfunction handle() end",
          { ok: true },
        ],
        ["no handle", "x = 1", { ok: false, message: "script must define a handle() function" }],
        [
          "a syntax error",
          "function handle( return 1 end",
          { ok: false, message: "script compilation failed: line 1: <name> or '...' expected near 'return'" },
        ],
        [
          "the host at the top",
          "local x = host.keys({})\nfunction handle() end",
          {
            ok: false,
            message: "script compilation failed: line 1: attempt to index a nil value (global 'host')",
          },
        ],
        [
          "a loop at the top",
          "while true do end",
          { ok: false, message: "script compilation failed: line 1: script exceeded execution time limit" },
        ],
      ],
      async ([, body, expected]) => {
        const { validationLimits } = await import("../../../../plugins/lua-scripts/validate.ts");
        expect(engine.validate(body, validationLimits)).toEqual(expected);
      },
    );
  });
}
