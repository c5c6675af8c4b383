import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBench, type Bench } from "./_bench.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.stop());

// `handle` is line 1, so that what stands here begins at line 2.
describe("the line of a call that fails, also where it is the last thing a function does", () => {
  test.each([
    ["http", "local url = 'http://127.0.0.1:1/'\nreturn http.get(url)", 3],
    ["xrpc", "\n\nreturn xrpc.query('org.example.run.procedure')", 4],
    ["atproto", "return atproto.spaces.get('x')", 2],
    ["jobs", "return jobs.create('a', {})", 2],
    ["db", "return db.query({ collection = collection, sort = 'a-b' })", 2],
    ["Record", "return Record(nil)", 2],
    ["a static of Record", "\nreturn Record.save_all({})", 3],
    ["a method of a record", "local r = Record(collection)\nreturn r:set_rkey('')", 3],
    ["require", "\nreturn require('nothing')", 3],
    ["toarray", "return toarray(5)", 2],
    ["json", "return json.decode('{')", 2],
    ["a library", "local lib = require('happyview.http')\nreturn lib.get('http://127.0.0.1:1/')", 3],
    [
      "a step of a chain",
      "local lib = require('happyview.db')\nreturn lib.records('a.b'):where('x', '~', 1)",
      3,
    ],
    [
      "the end of a chain",
      "local sql = require('happyview.sql')\nreturn sql.from('a'):where('b-c', '=', 1):run()",
      3,
    ],
    [
      "a function of the script that ends so",
      "local function get() return http.get('http://127.0.0.1:1/') end\nlocal r = get()\nreturn r",
      2,
    ],
    [
      "a coroutine that ends so",
      "local get = coroutine.wrap(function()\nreturn http.get('http://127.0.0.1:1/')\nend)\nlocal r = get()\nreturn r",
      5,
    ],
  ])("%s", async (_name, code, line) => {
    expect(await bench.query(code)).toMatchObject({ status: 500, body: { errorType: "runtime", line } });
  });

  test("a call that waits at the end of a function returns all it has", async () => {
    const code = `local async = require('internal.async')
      return { async.all(function() return 1, 2 end, function() return db.backend() end) }`;
    expect(await bench.query(code)).toEqual({ status: 200, body: [1, "sqlite"] });
  });

  test("inside pcall the text has no position, as that of any C function", async () => {
    expect(await bench.query("return select(2, pcall(http.get, 'http://127.0.0.1:1/'))")).toMatchObject({
      body: expect.stringMatching(/^HTTP request failed: /),
    });
  });
});
