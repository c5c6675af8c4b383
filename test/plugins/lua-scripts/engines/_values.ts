import { afterAll, describe, expect } from "vitest";
import { evaluate, type QueryInput } from "../engine/_run.ts";
import { cases, type Subject } from "./_subject.ts";

type Row = [name: string, code: string, json: string, input?: QueryInput];

const returned: Row[] = [
  ["nil", "return nil", "null"],
  ["nothing", "local x", "null"],
  ["booleans", "return { true, false }", "[true,false]"],
  ["an integer", "return 42", "42"],
  ["a negative integer", "return -7", "-7"],
  [
    "the largest and smallest integer",
    "return { math.maxinteger, math.mininteger }",
    "[9223372036854775807,-9223372036854775808]",
  ],
  ["an integer beyond 2^53", "return 9007199254740993", "9007199254740993"],
  [
    "a float keeps its point",
    "return { 5.0, 10/2, 1.5, -0.0, 1e100, 2^53 }",
    "[5.0,5.0,1.5,-0.0,1e+100,9007199254740992.0]",
  ],
  ["integer division", "return 7 // 2", "3"],
  ["NaN and infinities", "return { 0/0, math.huge, -math.huge }", "[null,null,null]"],
  [
    "a string with escapes",
    String.raw`return "a\n\t\"\\\1é☃\u{1D11E}\127"`,
    JSON.stringify('a\n\t"\\\u0001é☃𝄞\x7f'),
  ],
  ["a long escaped string", String.raw`return #json.encode(("\0"):rep(100000))`, "600002"],
  ["an empty string", 'return ""', '""'],
  ["an empty table", "return {}", "{}"],
  ["a sequence", 'return { 1, "two", true }', '[1,"two",true]'],
  ["nested tables", "return { a = { b = { {} } } }", '{"a":{"b":[{}]}}'],
  ["a sequence drops its keys", "return { 1, 2, x = 3 }", "[1,2]"],
  ["a hole", "return { 1, nil, 3 }", "[1,null,3]"],
  ["a hole made later", "local t = { 1, 2, 3 } t[2] = nil return t", "[1,null,3]"],
  [
    "keys are sorted",
    "return { b = 1, a = { z = 1, y = 2 }, ab = {}, ['$type'] = 't' }",
    '{"$type":"t","a":{"y":2,"z":1},"ab":{},"b":1}',
  ],
  ["numeric strings as keys", 'return { ["1"] = "a" }', '{"1":"a"}'],
  ["only the first result", "return 1, 2", "1"],
  [
    "metatables are ignored",
    "return setmetatable({ a = 1 }, { __index = { b = 2 }, __len = function() return 9 end })",
    '{"a":1}',
  ],
  ["toarray of nothing", "return { a = toarray({}) }", '{"a":[]}'],
  ["toarray drops keys and stops at nil", "return toarray({ 1, nil, 3, x = 2 })", "[1]"],
  ["toarray makes a new table", "local a = {} local b = toarray(a) return a == b", "false"],
  ["the same table twice", "local t = { 1 } return { t, t }", "[[1],[1]]"],
];

const refused: [name: string, code: string, message: string][] = [
  ["a function", "return { print }", "deserialize error: unsupported value type `function`"],
  ["a coroutine", "return coroutine.create(print)", "deserialize error: unsupported value type `thread`"],
  ["a table in itself", "local t = {} t.t = t return t", "deserialize error: recursive table detected"],
  [
    "an integer key",
    "return { [5] = 'x' }",
    "deserialize error: invalid type: integer `5`, expected a string key",
  ],
  [
    "a float key",
    "return { [0.5] = 'x' }",
    "deserialize error: invalid type: floating point `0.5`, expected a string key",
  ],
  [
    "a boolean key",
    "return { [true] = 'x' }",
    "deserialize error: invalid type: boolean `true`, expected a string key",
  ],
  [
    "bytes that are no UTF-8",
    "return '\\xff'",
    "deserialize error: invalid type: byte array, expected any valid JSON value",
  ],
  [
    "half a surrogate pair",
    "return '\\xed\\xa0\\x80'",
    "deserialize error: invalid type: byte array, expected any valid JSON value",
  ],
  [
    "an overlong form",
    "return '\\xc0\\x80'",
    "deserialize error: invalid type: byte array, expected any valid JSON value",
  ],
  [
    "too deep a table",
    "local t = {} for i = 1, 200 do t = { a = t } end return t",
    "deserialize error: tables are nested deeper than 128",
  ],
];

const params: Row[] = [
  ["strings", "return params.s", '"x"', { params: { s: "x" } }],
  ["none", "return params", "{}"],
  ["an integer", "return { params.n, math.type(params.n) }", '[5,"integer"]', { params: { n: 5n } }],
  ["a large integer", "return params.n", "9007199254740993", { params: { n: 9007199254740993n } }],
  [
    "a whole number is a float",
    "return { params.n, math.type(params.n) }",
    '[2.0,"float"]',
    { params: { n: 2 } },
  ],
  ["a boolean", "return params.b", "true", { params: { b: true } }],
  ["a repeated key", "return params.s", '["a","b"]', { params: { s: ["a", "b"] } }],
  [
    "unicode and quotes",
    "return params.s",
    JSON.stringify('ü "☃" \u2028'),
    { params: { s: 'ü "☃" \u2028' } },
  ],
  ["handle is given them as input", "return input == params", "true"],
];

const globals: Row[] = [
  ["method and collection", "return { method, collection }", '["test.example.query","test.example.record"]'],
  ["no caller", "return type(caller_did)", '"nil"'],
  [
    "a caller",
    "return { caller_did, ctx.caller_did }",
    '["did:plc:x","did:plc:x"]',
    { callerDid: "did:plc:x" },
  ],
  [
    "the others are not set",
    "return { type(input == nil), type(action), type(record), type(event), type(job), type(space) }",
    '["boolean","nil","nil","nil","nil","nil"]',
  ],
  [
    "env",
    "return { env.KEY, type(env.OTHER), ctx.env == env }",
    '["value","nil",true]',
    { env: { KEY: "value" } },
  ],
  [
    "ctx",
    "return { ctx.trigger, ctx.method, ctx.has_pds_auth }",
    '["xrpc.query:test.example.query","test.example.query",false]',
  ],
  ["they may be overwritten", "collection = 'mine' return collection", '"mine"'],
];

const sandbox: Row[] = [
  [
    "what is removed",
    "return table.concat({ type(io), type(debug), type(package), type(require), type(dofile), type(loadfile), type(load), type(loadstring), type(collectgarbage), type(unpack), type(setfenv), type(bit32) }, ' ')",
    JSON.stringify(Array(12).fill("nil").join(" ")),
  ],
  [
    "os",
    "local t = {} for k in pairs(os) do t[#t + 1] = k end table.sort(t) return t",
    '["clock","date","difftime","time"]',
  ],
  [
    "the base library",
    "return table.concat({ type(assert), type(error), type(pcall), type(xpcall), type(select), type(type), type(tostring), type(tonumber), type(pairs), type(ipairs), type(next), type(rawget), type(rawset), type(rawequal), type(rawlen), type(setmetatable), type(getmetatable), type(print), type(warn) }, ' ') == string.rep('function', 19, ' ')",
    "true",
  ],
  [
    "the libraries",
    "return { type(string), type(table), type(math), type(utf8), type(coroutine), _VERSION }",
    '["table","table","table","table","table","Lua 5.4"]',
  ],
  [
    "the 5.3 part of math",
    "return { math.pow(2, 10), math.log10(1000), math.ldexp(1, 3), math.frexp(8), math.cosh(0), math.sinh(0), math.tanh(0) }",
    "[1024.0,3.0,8.0,0.5,1.0,0.0,0.0]",
  ],
  [
    "64-bit integers",
    "return { 2147483647 + 1, 1 << 40, os.time() * 1000 > 1700000000000 }",
    "[2147483648,1099511627776,true]",
  ],
  ["5.4 syntax", "local x <const> = 6 local y = x ~ 3 goto done y = 0 ::done:: return y", "5"],
  [
    "patterns",
    'return { string.match("at://did:plc:x/app.y/z", "^at://([^/]+)/([^/]+)/(.+)$") }',
    '["did:plc:x","app.y","z"]',
  ],
  [
    "string.format",
    'return string.format("%05.2f|%d|%s|%x|%q", 3.14159, 42, "s", 255, "q")',
    JSON.stringify('03.14|42|s|ff|"q"'),
  ],
  ["string.pack", 'return #string.pack("i4z", 1, "abc")', "8"],
  [
    "coroutine.wrap",
    "local co = coroutine.wrap(function(a) for i = a, 3 do coroutine.yield(i) end end) return { co(1), co(), co() }",
    "[1,2,3]",
  ],
  [
    "coroutine.resume",
    "local co = coroutine.create(function(...) return select('#', ...), coroutine.yield() end) return { select('#', coroutine.resume(co, nil, nil)), (coroutine.resume(co)), coroutine.status(co), coroutine.resume(co) }",
    '[1,true,"dead",false,"cannot resume dead coroutine"]',
  ],
  [
    "an error in a wrapped coroutine",
    "return { pcall(coroutine.wrap(function() error({ code = 7 }) end)) }",
    '[false,{"code":7}]',
  ],
  ["pcall and error values", "local ok, e = pcall(error, { code = 7 }) return { ok, e.code }", "[false,7]"],
  [
    "xpcall",
    'local ok, e = xpcall(function() error("x", 0) end, function(m) return "h:" .. m end) return { ok, e }',
    '[false,"h:x"]',
  ],
  [
    "setmetatable refuses what it must",
    "return { pcall(setmetatable, 1, {}), select(2, pcall(setmetatable, {}, 1)), select(2, pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {})) }",
    `[false,"bad argument #2 to 'setmetatable' (nil or table expected, got number)","cannot change a protected metatable"]`,
  ],
  [
    "setmetatable to nil",
    "return getmetatable(setmetatable(setmetatable({}, { a = 1 }), nil)) == nil",
    "true",
  ],
  [
    "a metatable keeps its __gc",
    "local mt = { __gc = print, __index = { a = 1 } } return { setmetatable({}, mt).a, mt.__gc == print }",
    "[1,true]",
  ],
  [
    "to-be-closed variables",
    "local log = {} do local x <close> = setmetatable({}, { __close = function() log[1] = 'closed' end }) end return log",
    '["closed"]',
  ],
  [
    "os.date in UTC",
    'return { os.date("!%Y-%m-%dT%H:%M:%S", 0), os.date("!%c|%j|%U|%V|%p|%I", 1e9 // 1 | 0) }',
    '["1970-01-01T00:00:00","Sun Sep  9 01:46:40 2001|252|36|36|AM|01"]',
  ],
  [
    "os.time of a table and back",
    'local t = os.date("*t", os.time({ year = 2024, month = 14, day = -1, hour = 12 })) return { t.year, t.month, t.day, t.hour, t.isdst }',
    "[2025,1,30,12,false]",
  ],
  ["table.sort", "local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) return t", "[3,2,1]"],
];

const json: Row[] = [
  [
    "encode",
    'return json.encode({ a = 1 }) .. json.encode({ 1, 2.0 }) .. json.encode({}) .. json.encode("x\\"") .. json.encode(true) .. json.encode(nil) .. json.encode(5)',
    JSON.stringify('{"a":1}[1,2.0]{}"x\\""truenull5'),
  ],
  [
    "decode keeps kinds of numbers",
    'local t = json.decode("[1,1.0,1.5,1e2,-0,18446744073709551615,9007199254740993,-9223372036854775808,9223372036854775808]") for i, v in ipairs(t) do t[i] = math.type(v) .. " " .. tostring(v) end return t',
    '["integer 1","float 1.0","float 1.5","float 100.0","float -0.0","float 1.844674407371e+19","integer 9007199254740993","integer -9223372036854775808","float 9.2233720368548e+18"]',
  ],
  [
    "null is truthy userdata",
    'local t = json.decode("{\\"x\\":null}") return { type(t.x), t.x == nil, t.x and 1 or 2, t }',
    '["userdata",false,1,{"x":null}]',
  ],
  [
    "[] and {} stay what they are",
    'return json.encode(json.decode(" { \\"o\\" : { } , \\"a\\" : [ ] } ")) == \'{"a":[],"o":{}}\'',
    "true",
  ],
  ["an array stays one when emptied", 'local t = json.decode("[1]") table.remove(t) return t', "[]"],
  ["a key on an array is dropped", 'local t = json.decode("[1,2]") t.x = 1 return t', "[1,2]"],
  [
    "the array metatable is protected",
    'local t = json.decode("[]") return { getmetatable(t) == false, (pcall(setmetatable, t, {})) }',
    "[true,false]",
  ],
  [
    "escapes",
    String.raw`return json.decode('"\\u2603\\ud834\\udd1e\\n\\/\\\\\\"\\b\\f\\r\\t\\u0041é"')`,
    JSON.stringify('☃𝄞\n/\\"\b\f\r\tAé'),
  ],
  ["a lone surrogate", String.raw`return json.decode('"a\\ud800b"')`, '"a\ufffdb"'],
  ["the last of equal keys", `return json.decode('{"a":1,"a":2}').a`, "2"],
  [
    "its functions",
    "local t = {} for k in pairs(json) do t[#t + 1] = k end table.sort(t) return t",
    '["decode","encode"]',
  ],
  [
    "encode of a function raises",
    "local ok, e = pcall(json.encode, { f = print }) return { ok, string.find(e, 'json.encode: ', 1, true) ~= nil }",
    "[false,true]",
  ],
  [
    "a round trip of 1 MB",
    "local s = json.encode({ a = ('x'):rep(1000000) }) return #json.decode(s).a",
    "1000000",
  ],
];

const badJson = [
  "",
  "{oops",
  "[1,]",
  '{"a":1,}',
  "[1 2]",
  "01",
  "1.",
  "-",
  ".5",
  "1e",
  "tru",
  '"a',
  '"\\x"',
  '"\\u12g4"',
  '"\n"',
  "[1]x",
  "nan",
  "'a'",
  "{1:2}",
  "1e999",
  '"\xff"',
  "[".repeat(200),
];

const utilities: Row[] = [
  ["now", "return now()", '"2026-05-20T12:00:00.123456000+00:00"'],
  [
    "log takes strings and numbers",
    "log('hello') log(5) return { pcall(log, nil), (pcall(log, {})), (pcall(log, true)) }",
    `[false,false,false]`,
  ],
  ["TID", "local t = TID() return { #t, string.match(t, '^[2-7a-z]+$') == t, #TID('x', 1) }", "[13,true,13]"],
  [
    "TIDs grow",
    "local last = '' for i = 1, 100 do local t = TID() if t <= last then return i end last = t end return true",
    "true",
  ],
  [
    "fromISO8601 and toISO8601",
    'return TID.toISO8601(TID.fromISO8601("2024-01-01T00:00:00Z"))',
    '"2024-01-01T00:00:00.000000Z"',
  ],
  [
    "an offset and a fraction",
    'return TID.toISO8601(TID.fromISO8601("2024-01-01T02:00:00.123456+02:00"))',
    '"2024-01-01T00:00:00.123456Z"',
  ],
  [
    "microseconds",
    'return { TID.toUnixMicroseconds(TID.fromISO8601("2024-01-01T00:00:00Z")), TID.fromUnixMicroseconds(0), TID.fromUnixMicroseconds(1704067200000000) }',
    '[1704067200000000,"2222222222222","3khuwc44c2222"]',
  ],
  [
    "numbers are lossless",
    "local t = TID() local n = TID.toNumber(t) return { math.type(n), TID.fromNumber(n) == t, n > 2^53 }",
    '["integer",true,true]',
  ],
  ["a real TID", 'return TID.toISO8601("3jzfcijpj2z2a")', '"2023-06-30T15:03:01.887007Z"'],
  [
    "bad input",
    'return { select(2, pcall(TID.toISO8601, "garbage")), select(2, pcall(TID.fromISO8601, "not a date")), select(2, pcall(TID.fromISO8601, "2024-02-31T00:00:00Z")) }',
    '["invalid TID: garbage","invalid ISO 8601: not a date","invalid ISO 8601: 2024-02-31T00:00:00Z"]',
  ],
];

const tables: [string, Row[]][] = [
  ["returned values", returned],
  ["parameters", params],
  ["globals", globals],
  ["sandbox", sandbox],
  ["json", json],
  ["utilities", utilities],
];

/** What goes into a script and what comes out of it (spec 2). */
export function testValues(subject: Subject): void {
  const engine = subject.create();
  const { each, test } = cases(subject);
  afterAll(() => engine.close());

  for (const [title, rows] of tables)
    describe(title, () => {
      each(title, rows, async ([, code, expected, input]) => {
        expect(await evaluate(engine, code, input)).toBe(expected);
      });
    });

  describe("not a result", () => {
    each("not a result", refused, async ([, code, message]) => {
      await expect(evaluate(engine, code)).rejects.toThrow(`runtime: ${message}`);
    });
  });

  describe("json.decode refuses", () => {
    const rows = badJson.map((text) => [JSON.stringify(text), text] as const);
    each("json.decode refuses", rows, async ([, text]) => {
      const bytes = [...text]
        .map((char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`)
        .join("");
      const code = `local ok, e = pcall(json.decode, "${bytes}") return { ok, string.find(e, "json.decode: ", 1, true) ~= nil }`;
      expect(await evaluate(engine, code)).toBe("[false,true]");
    });
  });

  test("os.date without ! is in the time zone of the server", async () => {
    const offset = new Date(0).getTimezoneOffset();
    const hour = ((24 * 60 - offset) % (24 * 60)) / 60;
    expect(await evaluate(engine, "return os.date('*t', 0).hour")).toBe(String(Math.floor(hour)));
  });

  test("random numbers differ from run to run", async () => {
    const first = await evaluate(engine, "return math.random(0)");
    expect(await evaluate(engine, "return math.random(0)")).not.toBe(first);
  });
}
