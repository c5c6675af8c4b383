import { afterAll, beforeAll, expect, test } from "vitest";
import { collection, openBench, value, type Bench } from "./_bench.ts";

let bench: Bench;
beforeAll(async () => {
  // One thread, so that every run finds the state that the run before has left.
  bench = await openBench({ workers: 1 }, { files: { "lib/state.lua": "return { n = 0 }" } });
});
afterAll(() => bench.stop());

test("nothing that a script does to the APIs outlives its run", async () => {
  const vandal = `
    local m = getmetatable(Record(collection))
    m.__index.save_local = function() return 'leaked' end
    Record.load, http.get, xrpc.query, jobs.create = nil, nil, nil, nil
    atproto.spaces.get = print
    require('lib.state').n = 1
    require('happyview.db').get = nil
    require('internal.time').now = nil
    require = nil
    local l = Record(collection)._schema
    l.properties.text = nil
    return 1`;
  const check = `
    local db, time, state = require('happyview.db'), require('internal.time'), require('lib.state')
    local r = Record(collection, { text = 'a' })
    return {
      type(Record.load), type(http.get), type(xrpc.query), type(jobs.create), type(db.get), type(time.now), state.n,
      r._schema.properties.text.type, (select(2, pcall(r.save_local, r)):match('needs a DID')),
      (select(2, pcall(atproto.spaces.get, 'x'))),
    }`;
  const fresh = [...Array(6).fill("function"), 0, "string", "needs a DID", "spaces feature is not enabled"];
  for (let i = 0; i < 3; i++) {
    expect(await value(bench.query(vandal))).toBe(1);
    expect(await value(bench.query(check))).toEqual(fresh);
  }
});

test("the APIs do not depend on globals that a script has replaced", async () => {
  const code = `
    local match, getmeta = string.match, getmetatable
    for _, name in ipairs({ 'next', 'pairs', 'type', 'tostring', 'error', 'pcall', 'rawget', 'rawset', 'select', 'setmetatable' }) do _G[name] = nil end
    for key in ('match sub gsub find format lower'):gmatch('%S+') do string[key] = nil end
    table.concat, table.pack, table.unpack = nil, nil, nil
    coroutine.yield, coroutine.resume, coroutine.running, coroutine.create = nil, nil, nil, nil
    json, TID, toarray, db = nil, nil, nil, nil
    local r = Record(collection, { text = 'a' }):set_repo('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'):set_rkey('one'):save_local()
    local loaded = Record.load(r._uri)
    local labels = atproto.get_labels(r._uri)
    Record.delete_local(r._uri)
    local all = require('internal.async').all(function() return 1 end)
    return { loaded.text, loaded.stars, #labels, all, jobs ~= nil }`;
  expect(await value(bench.query(code))).toEqual(["a", 3, 0, 1, true]);
});

test("a thousand runs that call the host leave the state as it was", async () => {
  await bench.script(
    "xrpc.query:org.example.run.query",
    `function handle() seen = (seen or 0) + 1 local r = Record('${collection}') r.seen = seen return { seen, #atproto.get_labels('x') } end`,
  );
  for (let i = 0; i < 20; i++) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => (await bench.request("/xrpc/org.example.run.query")).json()),
    );
    expect(answers).toEqual(Array.from({ length: 50 }, () => [1, 0]));
  }
});
