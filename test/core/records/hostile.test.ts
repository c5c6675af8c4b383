import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { extractRefs } from "../../../core/records/refs.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { commit, createBench, rowsOf, textsOf, type Bench } from "./_pipeline.ts";

// Anybody may write any record; none of them may stop the others or be lost for a reason that its author cannot see.
describe.each(databases())("records made to do harm, on $name", (subject) => {
  let db: Database & AsyncDisposable;
  let bench: Bench;

  beforeEach(async () => {
    db = await migrated(subject);
    bench = createBench(db);
  });
  afterEach(async () => {
    await bench.pipeline.close();
    await db[Symbol.asyncDispose]();
  });

  test.each([
    ["a NUL in a text", { text: "a\u0000b" }],
    ["half a surrogate pair", { text: "a\ud800b" }],
    ["a NUL in a reference", { text: "x", ref: "at://did:plc:a/b\u0000" }],
    ["half a surrogate pair in a reference", { text: "x", ref: "at://did:plc:a/\ud800" }],
    ["a reference too long for an index", { text: "x", ref: `at://${randomText(20_000)}` }],
    ["ten thousand references", { refs: Array.from({ length: 10_000 }, (_, i) => `at://did:plc:a/b/${i}`) }],
    [
      "a key of the prototype",
      JSON.parse('{"text":"x","__proto__":{"a":1},"constructor":1}') as Record<string, unknown>,
    ],
    ["an empty key", { "": "x" }],
  ])("%s is stored as it is", async (_, record) => {
    void bench.pipeline.ingest(commit("create", 1, { record }));
    await bench.pipeline.flush();
    expect((await rowsOf(db)).map((row) => row.record)).toEqual([JSON.parse(JSON.stringify(record))]);
    expect(bench.events).toEqual([]);
  });

  test("one nested deeper than the call stack is refused alone", async () => {
    const deep = JSON.parse(`{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`) as Record<string, unknown>;
    void bench.pipeline.ingest(commit("create", 1, { rkey: "before" }), { source: "s", position: "1" });
    void bench.pipeline.ingest(commit("create", 2, { record: deep, cid: "bafyclaimed" }), {
      source: "s",
      position: "2",
    });
    void bench.pipeline.ingest(commit("create", 3, { rkey: "after" }), { source: "s", position: "3" });
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ before: "v1", after: "v3" });
    expect(bench.events.map((event) => event.type)).toEqual(["record.refused"]);
    expect(await bench.pipeline.position("s")).toBe("3");
  });

  test("one that the database refuses is left out alone", async () => {
    await db.run("CREATE UNIQUE INDEX refuse_twins ON happyview_records (record)");
    const twin = { text: "twin" };
    void bench.pipeline.ingest(commit("create", 1, { rkey: "a", record: twin }));
    void bench.pipeline.ingest(commit("create", 2, { rkey: "b", record: twin }));
    void bench.pipeline.ingest(commit("create", 3, { rkey: "c" }), { source: "s", position: "3" });
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ a: "twin", c: "v3" });
    expect(bench.events).toMatchObject([{ type: "record.refused", severity: "error" }]);
    expect(await bench.pipeline.position("s")).toBe("3");
  });
});

test("references are found at any depth, once each", () => {
  let nested: unknown = "at://a/b/c";
  for (let i = 0; i < 100_000; i++) nested = i % 2 ? [nested] : { x: nested };
  expect(
    [...extractRefs({ nested, twice: ["at://a/b/c", "at://d/e/f", null, 0, false] })].toSorted(),
  ).toEqual(["at://a/b/c", "at://d/e/f"]);
});

/** Text that an index cannot make smaller. */
function randomText(length: number): string {
  let seed = 1;
  return Array.from({ length }, () => {
    seed = (seed * 48271) % 2147483647;
    return (seed % 36).toString(36);
  }).join("");
}
