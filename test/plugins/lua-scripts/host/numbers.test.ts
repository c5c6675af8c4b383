import { expect, test } from "vitest";
import { computeCid } from "../../../../core/records/verify.ts";
import { author, collection, startBench, value } from "./_bench.ts";

// Lua has integers of 64 bits, and floats that are whole; JavaScript has neither.

test("a record is stored with the numbers that its script gave it", async () => {
  const bench = await startBench();
  const numbers = "record.id = 1838647802501335807 record.avg = 10 / 2 record.big = 9007199254740993";
  await bench.script(`record.index:${collection}`, `function handle() ${numbers} return record end`);
  const record = { text: "a" };
  const base = {
    kind: "commit",
    action: "create",
    did: author,
    collection,
    rkey: "1",
    rev: "3lzzzzzzzzz2a",
  } as const;
  await bench.app.records.pipeline.ingestMany([{ ...base, record, cid: computeCid(record) ?? "" }]);
  const row = await bench.app.db.get<{ record: string }>("SELECT record FROM happyview_records");
  expect(row?.record).toContain('"id":1838647802501335807');
  expect(row?.record).toContain('"big":9007199254740993');
  expect(row?.record).toContain('"avg":5.0');
});

test("parameters of nested queries keep theirs", async () => {
  const bench = await startBench();
  const parameters = {
    type: "params",
    properties: { n: { type: "string" }, list: { type: "array", items: { type: "string" } } },
  };
  const id = "org.example.numbers";
  await bench.lexicon({ lexicon: 1, id, defs: { main: { type: "query", parameters } } });
  await bench.script(`xrpc.query:${id}`, "function handle() return { params.n, params.list } end");
  const code = `return json.decode(xrpc.query("${id}", { n = 9007199254740993, list = { 9223372036854775807, 2 } }).body)`;
  expect(await value(bench.query(code))).toEqual(["9007199254740993", ["9223372036854775807", "2"]]);
});
