import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { databases } from "../../../setup/databases.ts";
import { author, caller, collection, openBench, startBench, value, type Bench } from "./_bench.ts";

const files = {
  "lib/text.lua": "local m = {}\nfunction m.slug(s) return (s:lower():gsub('%s+', '-')) end\nreturn m",
  "lib/deep/tags.lua":
    "local text = require('lib.text')\nreturn { slugs = function(l) local o = {} for i, s in ipairs(l) do o[i] = text.slug(s) end return o end }",
  "lib/a.lua": "return require('lib.b')",
  "lib/b.lua": "return require 'lib.a'",
  "lib/broken.lua": "local x = nil\nreturn params and x.y",
  "lib/global.lua": "count = (count or 0) + 1\nreturn count",
};

describe("require of scripts/lib", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench({}, { files });
  });
  afterAll(() => bench.stop());

  test.each([
    ["a module", "return require('lib.text').slug('Hello  World')", "hello-world"],
    [
      "a module of a module, in a folder",
      "return require('lib.deep.tags').slugs({ 'A B', 'C' })",
      ["a-b", "c"],
    ],
    ["a name made at run time", "local n = 'te' .. 'xt' return require('lib.' .. n).slug('A')", "a"],
    ["loaded once a run", "return { require('lib.global'), require('lib.global'), count }", [1, 1, 1]],
    [
      "a cycle",
      "return select(2, pcall(require, 'lib.a')):match('module.*')",
      "module 'lib.a' requires itself: lib.a -> lib.b -> lib.a",
    ],
    [
      "no such file",
      "return select(2, pcall(require, 'lib.none')):match('module.*')",
      "module 'lib.none' not found -- there is no scripts/lib/none.lua",
    ],
    [
      "no such built-in",
      "return select(2, pcall(require, 'internal.none'))",
      "module 'internal.none' not found -- built-in modules are: internal.async, internal.json, internal.logging, internal.tids, internal.time",
    ],
    [
      "no such library",
      "return select(2, pcall(require, 'happyview.none'))",
      "module 'happyview.none' not found -- is the 'happyview.none' library plugin installed?",
    ],
    [
      "no string",
      "return (select(2, pcall(require, {})))",
      "bad argument #1 to 'require' (string expected, got table)",
    ],
  ])("%s", async (_name, code, expected) => {
    expect(await value(bench.query(code))).toEqual(expected);
  });

  test("a failing module names its own line", async () => {
    expect(await bench.query("return require('lib.broken')")).toMatchObject({
      status: 500,
      body: { message: expect.stringContaining("scripts/lib/broken.lua:2: attempt to index a nil value") },
    });
  });

  test("an edited module acts on the next run", async () => {
    const code = "return require('lib.text').slug('A B')";
    expect(await value(bench.query(code))).toBe("a-b");
    const text = "return { slug = function() return 'new' end }";
    const scripts = Object.entries({ ...files, "lib/text.lua": text }).map(([path, body]) => ({
      path,
      name: path,
      text: body,
    }));
    await bench.app.resources.deploy({ scripts });
    expect(await value(bench.query(code))).toBe("new");
  });
});

test("module files are checked when they are deployed", async () => {
  const bench = await startBench();
  const problems = await bench.app.resources.deploy({
    scripts: [
      { path: "lib/bad.lua", name: "scripts/lib/bad.lua", text: "return {" },
      { path: "lib/no way.lua", name: "scripts/lib/no way.lua", text: "return 1" },
    ],
  });
  expect(problems.map((problem) => problem.message)).toEqual([
    expect.stringMatching(/^scripts\/lib\/no way\.lua has a name that no require/),
    expect.stringMatching(/^scripts\/lib\/bad\.lua:1: script compilation failed: /),
  ]);
});

test("a script may require while it is checked", async () => {
  const bench = await startBench();
  const body =
    "local text = require('lib.text')\nlocal base = env.URL .. '/x'\nlocal db = require('happyview.db')\nlocal all = db.records('a'):limit(5)\nfunction handle() end";
  expect((await bench.script("xrpc.query:a.b", body)).status).toBe(201);
});

describe("the built-in modules (spec 5.2)", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterAll(() => bench.stop());

  test.each([
    [
      "time.now is in milliseconds",
      "local t = require('internal.time').now() return math.type(t) == 'integer' and t > 1.7e12 and t < 1e13",
      true,
    ],
    [
      "time.to_iso8601",
      "local t = require('internal.time') return { t.to_iso8601(0), t.to_iso8601(1704067200123) }",
      ["1970-01-01T00:00:00.000Z", "2024-01-01T00:00:00.123Z"],
    ],
    [
      "time.from_iso8601",
      "local t = require('internal.time') return { t.from_iso8601('2024-01-01T00:00:00Z'), t.from_iso8601('x') == nil }",
      [1_704_067_200_000, true],
    ],
    [
      "tids",
      "local t = require('internal.tids') return { #t.create(), t.from_tid(t.to_tid(1704067200000)) }",
      [13, 1_704_067_200_000],
    ],
    ["tids raise", "return select(2, pcall(require('internal.tids').from_tid, 'x'))", "invalid TID: x"],
    [
      "json",
      "local j = require('internal.json') return { j.encode({ a = 1 }), j.decode('[1]')[1], j.encode(j.to_array({})) }",
      ['{"a":1}', 1, "[]"],
    ],
    [
      "async keeps the order",
      "local a = require('internal.async') return { a.all(function() return 1 end, function() return db.backend() end, function() return atproto.get_labels('x') end) }",
      [1, "sqlite", {}],
    ],
    [
      "an error inside async",
      "local a = require('internal.async') return select(2, pcall(a.all, function() error('no', 0) end, function() return xrpc.query('x.y.z') end))",
      "no",
    ],
    ["no arguments", "return select('#', require('internal.async').all())", 0],
  ])("%s", async (_name, code, expected) => {
    expect(await value(bench.query(code))).toEqual(expected);
  });

  test("logging", async () => {
    await value(
      bench.query(
        "local log = require('internal.logging') log.debug('d') log.info('one') log.warn('two', { a = 1 }) return 1",
      ),
    );
    const logs = bench.events.filter((event) => event.type === "script.log").map((event) => event.detail);
    expect(logs).toMatchObject([
      { message: "one", level: "info" },
      { message: "two", level: "warn", fields: { a: 1 } },
    ]);
  });
});

describe.each(databases())("the libraries of v3 on $name (spec 5.3)", (subject) => {
  let bench: Bench;
  const uri = (rkey: string): string => `at://${author}/${collection}/${rkey}`;
  beforeAll(async () => {
    bench = await openBench({}, { subject });
    for (let i = 1; i <= 5; i++)
      await bench.put(
        `k${i}`,
        { text: `note ${i}`, stars: i, subject: uri("k1"), kind: i % 2 ? "odd" : "even" },
        i === 5 ? "" : `cid${i}`,
      );
  });
  afterAll(() => bench.stop());

  test.each([
    [
      "a page",
      "local p = db.records(collection):limit(2):run() return { #p.records, p.cursor ~= nil, p.records[1].record.stars, p.records[1].rkey }",
      [2, true, 5, "k5"],
    ],
    [
      "the next page",
      "local p = db.records(collection):limit(2):run() return db.records(collection):cursor(p.cursor):limit(2):run().records[1].rkey",
      "k3",
    ],
    [
      "an envelope",
      "local e = db.get(ctx.env.URI) return { e.uri, e.did, e.collection, e.rkey, e.cid, e.indexed_at == nil, e.record.text, e.record.uri == nil }",
      [uri("k2"), author, collection, "k2", "cid2", true, "note 2", true],
    ],
    ["no cid is nil", "return db.records(collection):where('stars', '=', 5):first().cid == nil", true],
    [
      "where and sort",
      "local p = db.records(collection):where('kind', '=', 'odd'):where('stars', '>', 1):sort('stars', 'asc'):run() local o = {} for i, r in ipairs(p.records) do o[i] = r.rkey end return o",
      ["k3", "k5"],
    ],
    [
      "steps given nil are skipped",
      "return #db.records(collection):where('kind', '=', nil):sort(nil):limit(nil):cursor(nil):did(nil):run().records",
      5,
    ],
    [
      "count",
      "return { db.records(collection):count(), db.records(collection):where('kind', '=', 'even'):count() }",
      [5, 2],
    ],
    ["first of none", "return db.records('a.b.c'):first() == nil", true],
    ["get of none", "return db.get('at://a/b/c') == nil", true],
    ["search", "return #db.search(collection, 'text', 'NOTE', 3)", 3],
    ["an empty page is an array", "return json.encode(db.records('a.b.c'):run())", '{"records":[]}'],
    [
      "a bad operator",
      "return select(2, pcall(function() db.records(collection):where('a', '~', 1) end)):match('happyview.*')",
      "happyview-db.where: BAD_CHAIN: unknown operator ~",
    ],
    [
      "a bad field",
      "return select(2, pcall(function() db.records(collection):where('a b', '=', 1):run() end)):match('happyview%-db.run: INVALID_SPEC: invalid filter field')",
      "happyview-db.run: INVALID_SPEC: invalid filter field",
    ],
    [
      "backlinks",
      "return #require('happyview.backlinks').to(ctx.env.FIRST):collection(collection):limit(3):run().records",
      3,
    ],
    [
      "backlinks need a collection",
      "return select(2, pcall(function() require('happyview.backlinks').to('x'):run() end)):match('happyview.*')",
      "happyview-backlinks.run: BAD_CHAIN: a collection is required",
    ],
    [
      "sql",
      "local r = require('happyview.sql').raw('SELECT rkey FROM happyview_records WHERE rkey = $1', { 'k3' }) return { #r, r[1].rkey }",
      [1, "k3"],
    ],
    [
      "sql chain",
      "local sql = require('happyview.sql') return { #sql.from('happyview_records'):where('rkey', 'like', 'k%'):sort('rkey', 'asc'):limit(2):run(), sql.from('happyview_records'):where('rkey', 'ilike', 'K%'):count() }",
      [2, 5],
    ],
    [
      "sql refuses what is protected",
      "return select(2, pcall(require('happyview.sql').raw, 'SELECT * FROM happyview_users')):match('^happyview%-sql.raw: FORBIDDEN: ')",
      "happyview-sql.raw: FORBIDDEN: ",
    ],
    [
      "sql refuses an identifier",
      "return select(2, pcall(require('happyview.sql').from, 'a; b'))",
      "happyview-sql.from: BAD_INPUT: invalid identifier a; b",
    ],
  ])("%s", async (_name, code, expected) => {
    await bench.request("/admin/script-variables", variable("URI", uri("k2")));
    await bench.request("/admin/script-variables", variable("FIRST", uri("k1")));
    expect(await value(bench.query(`local db = require('happyview.db')\n${code}`))).toEqual(expected);
  });

  test("record: local writes, validation, no session", async () => {
    const code = `local record = require('happyview.record')
      local made = record.save_local(ctx.collection, 'made', { text = 'x' }, '${author}')
      local loaded = record.load(made.uri)
      local gone = record.delete_local(made.uri)
      local _, invalid = pcall(record.validate, ctx.collection, {})
      local _, session = pcall(record.create, ctx.collection, { text = 'x' })
      return { made.uri, loaded.record.stars, gone, invalid, session, record.lexicon(ctx.collection).id }`;
    expect(await value(bench.query(code))).toEqual([
      uri("made"),
      3,
      true,
      "happyview-record.validate: INVALID_RECORD: missing required field 'text'",
      "happyview-record.create: NO_SESSION: this run has no PDS session",
      collection,
    ]);
  });
});

function variable(key: string, value: string): RequestInit {
  return {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: "Bearer hv_0123456789abcdef0123456789abcdef",
    },
    body: JSON.stringify({ key, value }),
  };
}

test("the other libraries", async () => {
  const bench = await startBench({ attestation: false });
  const code = `local function why(f, ...) return (select(2, pcall(f, ...))) end
    local linked, spaces, atproto = require('happyview.linked_repos'), require('happyview.spaces'), require('happyview.atproto')
    return {
      why(linked.get('did:plc:x').create_record, {}), #linked.list(), why(spaces.info, 'x'), why(atproto.sign, {}),
      why(require('happyview.xrpc').query, 'org.example.run.procedure'),
      #require('happyview.jobs').create('a', { x = 1 }),
      type(require('happyview.http').get), ctx.caller_did,
    }`;
  expect(await value(bench.procedure(code))).toEqual([
    "happyview-linked_repos.create_record: NOT_LINKED: did:plc:x is not a linked repo",
    0,
    "happyview-spaces.info: SPACES_DISABLED: spaces feature is not enabled",
    "happyview-atproto.sign: NO_SIGNER: no signer is configured",
    "happyview-xrpc.query: XRPC_ERROR: xrpc query failed: bad request: org.example.run.procedure is not a query endpoint",
    36,
    "function",
    caller,
  ]);
});
