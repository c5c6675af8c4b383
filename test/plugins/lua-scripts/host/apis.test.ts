import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { databases } from "../../../setup/databases.ts";
import { author, caller, collection, openBench, value, type Bench } from "./_bench.ts";

describe.each(databases())("atproto labels on $name", (subject) => {
  let bench: Bench;
  let labeled: string;
  let plain: string;
  beforeAll(async () => {
    bench = await openBench({}, { subject });
    labeled = await bench.put("labeled", {
      text: "a",
      labels: { values: [{ val: "self" }, { val: 5 }, null] },
    });
    plain = await bench.put("plain", { text: "b", labels: "nonsense" });
    const insert = "INSERT INTO happyview_labels (src, uri, val, cts, exp) VALUES (?, ?, ?, ?, ?)";
    for (const [val, cts, exp] of [
      ["one", "2026-01-01T00:00:00Z", null],
      ["two", "2026-01-02T00:00:00Z", "2999-01-01T00:00:00Z"],
      ["old", "2026-01-03T00:00:00Z", "2020-01-01T00:00:00Z"],
    ] as const)
      await bench.app.db.run(insert, ["did:plc:labeler", labeled, val, cts, exp]);
  });
  afterAll(() => bench.stop());

  test("get_labels: stored ones in order, without the expired, then the author's own", async () => {
    expect(await value(bench.query(`return atproto.get_labels('${labeled}')`))).toEqual([
      { src: "did:plc:labeler", uri: labeled, val: "one", cts: "2026-01-01T00:00:00Z" },
      { src: "did:plc:labeler", uri: labeled, val: "two", cts: "2026-01-02T00:00:00Z" },
      { src: author, uri: labeled, val: "self", cts: "" },
    ]);
  });

  test("none are written as {}", async () => {
    expect(await value(bench.query(`return atproto.get_labels('${plain}')`))).toEqual({});
    expect(await value(bench.query("return atproto.get_labels('at://a/b/c')"))).toEqual({});
  });

  test("get_labels_batch has every URI that was asked for", async () => {
    const code = `local l = atproto.get_labels_batch({ '${labeled}', '${plain}', 'at://a/b/c' })
      return { #l['${labeled}'], #l['${plain}'], #l['at://a/b/c'] }`;
    expect(await value(bench.query(code))).toEqual([3, 0, 0]);
  });
});

describe("the other APIs", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterAll(() => bench.stop());

  test.each([
    [
      "an endpoint that cannot be resolved",
      "return atproto.resolve_service_endpoint('did:example:x') == nil",
      true,
    ],
    ["no blobs", "return atproto.blob_upload == nil", true],
    [
      "spaces are off",
      "return select(2, pcall(atproto.spaces.list_members, 'x'))",
      "spaces feature is not enabled",
    ],
    [
      "spaces.create is off",
      "return select(2, pcall(atproto.spaces.create, {}))",
      "spaces feature is not enabled",
    ],
    ["linked repos", "return { linked_repos.list(), linked_repos.get('did:plc:x') == nil }", [{}, true]],
    [
      "jobs without a caller",
      "return select(2, pcall(jobs.create, 'a', {}))",
      "jobs.create requires an authenticated caller",
    ],
    [
      "a label is nobody's own",
      "return type(Record) .. type(http) .. type(xrpc) .. type(require)",
      "tabletabletablefunction",
    ],
  ])("%s", async (_name, code, expected) => {
    expect(await value(bench.query(code))).toEqual(expected);
  });

  test("jobs.create queues a job of the caller", async () => {
    const id = await value(bench.procedure("return jobs.create('reindex', { a = 1, b = { } })"));
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    const [job] = await bench.app.db.all(
      "SELECT id, job_type, input, created_by, status FROM happyview_jobs",
    );
    expect(job).toMatchObject({
      id,
      job_type: "reindex",
      input: '{"a":1,"b":{}}',
      created_by: caller,
      status: "pending",
    });
  });

  test.each([
    ["input that is no JSON becomes {}", "return jobs.create('x', { f = print })", /^[0-9a-f-]{36}$/],
    [
      "a bad type",
      "return (select(2, pcall(jobs.create, 'Bad Type', {})))",
      /invalid job type 'Bad Type': must match/,
    ],
    ["a reserved type", "return (select(2, pcall(jobs.create, 'happyview.x', {})))", /reserved/],
  ])("%s", async (_name, code, expected) => {
    expect(await value(bench.procedure(code))).toMatch(expected);
  });

  test("a record script acts as the author of the record", async () => {
    await bench.script(
      `record.index:${collection}`,
      "function handle() jobs.create('seen', { uri = uri }) record.by = caller_did == nil and 'nobody' or caller_did return record end",
    );
    void bench.app.records.pipeline.ingest({
      kind: "commit",
      action: "create",
      did: author,
      collection,
      rkey: "k1",
      rev: "3kaaaaaaaaaaa",
      cid: "",
      record: { text: "a" },
    });
    await bench.app.records.pipeline.flush();
    const [job] = await bench.app.db.all("SELECT created_by FROM happyview_jobs WHERE job_type = 'seen'");
    expect(job).toEqual({ created_by: author });
  });
});
