import { expect, test } from "vitest";
import type { PdsWriter } from "../../../../plugins/lua-scripts/host/pds.ts";
import { author, caller, collection, startBench, value } from "./_bench.ts";

/** A repo that gives out URIs and keeps what was written. */
function createRepo(): PdsWriter & { records: Map<string, unknown> } {
  const records = new Map<string, unknown>();
  let n = 0;
  return {
    records,
    session: async () => ({
      async post(method, body) {
        const {
          repo,
          collection: of,
          rkey = `made${++n}`,
          record,
        } = JSON.parse(body) as Record<string, string>;
        const uri = `at://${repo}/${of}/${rkey}`;
        if (method.endsWith("deleteRecord")) records.delete(uri);
        else records.set(uri, record);
        return { status: 200, body: JSON.stringify({ uri, cid: `bafy${n}` }) };
      },
      async upload() {
        throw new Error("no story uploads a blob");
      },
    }),
  };
}

// The kinds of scripts that lua §8 lists.

test("upsert: load, then put or create under a chosen key", async () => {
  const pds = createRepo();
  const bench = await startBench({ pds });
  const code = `
    local key = input.key or TID()
    local found = Record.load('at://' .. caller_did .. '/' .. collection .. '/' .. key)
    local r = found or Record(collection, { text = input.text }):set_rkey(key)
    r.text, r.about = input.text, now():sub(1, 2)
    r:save()
    return { uri = r._uri, was = found ~= nil }`;
  const uri = `at://${caller}/${collection}/k1`;
  expect(await value(bench.procedure(code, { key: "k1", text: "a" }))).toEqual({ uri, was: false });
  expect(await value(bench.procedure(code, { key: "k1", text: "b" }))).toEqual({ uri, was: true });
  expect(pds.records.get(uri)).toMatchObject({ $type: collection, text: "b", stars: 3, about: "20" });
});

test("cascade: every record of the caller, deleted on both sides", async () => {
  const pds = createRepo();
  const bench = await startBench({ pds });
  const make =
    "local list = {} for i = 1, 5 do list[i] = Record(collection, { text = 't' .. i }) end return #Record.save_all(list)";
  expect(await value(bench.procedure(make))).toBe(5);
  await bench.put("other", { text: "not theirs" });
  const code = `
    local page = db.query({ collection = collection, did = caller_did, limit = 100 })
    for _, row in ipairs(page.records) do Record.load(row.uri):delete() end
    return { deleted = #page.records, left = db.count(collection) }`;
  expect(await value(bench.procedure(code))).toEqual({ deleted: 5, left: 1 });
  expect(pds.records.size).toBe(0);
});

test("expand: a query without auth joins records, and a Record is written with its internal fields", async () => {
  const bench = await startBench();
  const one = await bench.put("one", { text: "a" });
  const code = `
    local rows = Record.load_all({ '${one}', 'at://did:plc:none/a.b.c/1', '${one}' })
    local seen = {}
    for _, r in ipairs(rows) do seen[#seen + 1] = r.text end
    return { seen = seen, first = rows[1], none = Record.load_all({}) }`;
  expect(await value(bench.query(code))).toMatchObject({
    seen: ["a"],
    first: { text: "a", _uri: one, _cid: "bafytest", _collection: collection, _schema: { type: "object" } },
    none: {},
  });
});

test("a label script hides a record in the index, and a record script rewrites another", async () => {
  const bench = await startBench();
  const uri = await bench.put("bad", { text: "secret" });
  await bench.script(
    `record.index:${collection}`,
    `function handle() local r = Record.load('${uri}') r.text = 'seen by ' .. rkey r:save_local() return true end`,
  );
  void bench.app.records.pipeline.ingest({
    kind: "commit",
    action: "create",
    did: author,
    collection,
    rkey: "k1",
    rev: "3kaaaaaaaaaaa",
    cid: "",
    record: { text: "x" },
  });
  await bench.app.records.pipeline.flush();
  const [row] = await bench.app.records.local.get([uri]);
  expect(JSON.parse(row?.record ?? "")).toMatchObject({ text: "seen by k1", $type: collection });

  await bench.script(
    `labeler.apply:${collection}`,
    "function handle() Record.delete_local(uri) return nil end",
  );
  const { applyLabel } = bench.app.api("lua-scripts") as {
    applyLabel: (label: object) => Promise<unknown>;
  };
  const label = { src: "did:plc:l", uri, val: "hide", neg: false, cts: "2026-01-01T00:00:00Z" };
  expect(await applyLabel(label)).toBeUndefined();
  expect(await bench.app.records.local.get([uri])).toEqual([]);
});
