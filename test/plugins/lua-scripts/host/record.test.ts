import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PdsAuthError, type PdsWriter } from "../../../../plugins/lua-scripts/host/pds.ts";
import { databases } from "../../../setup/databases.ts";
import { author, caller, collection, openBench, startBench, value, type Bench } from "./_bench.ts";

const rows = (bench: Bench): Promise<unknown[]> =>
  bench.app.db.all("SELECT uri, record, cid, rev, indexed_at FROM happyview_records ORDER BY uri");

/** A PDS in memory: it remembers what was sent. */
function fakePds(
  answer: (method: string) => { status: number; body: string } = ok,
): PdsWriter & { sent: unknown[] } {
  const sent: unknown[] = [];
  return {
    sent,
    session: async () => ({
      async post(method, body) {
        sent.push([method, JSON.parse(body)]);
        return answer(method);
      },
      async upload() {
        throw new Error("no record is a blob");
      },
    }),
  };
}

let n = 0;
const ok = (method: string): { status: number; body: string } => ({
  status: 200,
  body: method.endsWith("deleteRecord")
    ? "{}"
    : JSON.stringify({ uri: `at://${caller}/${collection}/r${++n}`, cid: `bafy${n}` }),
});

const noAuth =
  "no PDS auth in this script context — use :save_local() / :delete_local() / Record.delete_local(uri) for local-only mutation";

// Spec 4.3: the value of each expression, in a query (no-auth mode).
const cases: [name: string, code: string, expected: unknown][] = [
  [
    "defaults of the lexicon",
    "local r = Record(collection, { text = 'a' }) return { r.stars, json.encode(r.tags) }",
    [3, "[]"],
  ],
  ["a given value wins over a default", "return Record(collection, { stars = 5 }).stars", 5],
  ["Record.new is the constructor", "return Record.new(collection, { text = 'a' }).text", "a"],
  ["a collection without a lexicon has no schema", "return Record('a.b.c')._schema == nil", true],
  [
    "internal fields",
    "local r = Record(collection) return { r._collection, r._key_type, r._schema.type }",
    [collection, "tid", "object"],
  ],
  ["tostring", "return tostring(Record(collection))", `Record(${collection}) [unsaved]`],
  [
    "internal fields are protected while nil",
    "local r = Record(collection) return select(2, pcall(function() r._uri = 'x' end)):match('cannot.*')",
    "cannot assign to internal field '_uri'",
  ],
  ["and plain once set", "local r = Record(collection) r._collection = 'x' return r._collection", "x"],
  ["a field named like a method hides it", "return Record(collection, { save = 1 }).save", 1],
  [
    "key types",
    "local r = Record(collection) r:set_key_type('literal:self') return r:generate_rkey()",
    "self",
  ],
  [
    "a bad key type",
    "return select(2, pcall(Record(collection).set_key_type, Record(collection), 'x'))",
    "invalid key type 'x': expected tid, any, nsid, or literal:*",
  ],
  [
    "an empty rkey",
    "local r = Record(collection) return select(2, pcall(r.set_rkey, r, ''))",
    "rkey must be a non-empty string",
  ],
  [
    "an empty repo",
    "local r = Record(collection) return select(2, pcall(r.set_repo, r, ''))",
    "did must be a non-empty string",
  ],
  ["a generated rkey is a TID", "return #Record(collection):generate_rkey()", 13],
  [
    "an nsid key is not made up",
    "local r = Record(collection):set_key_type('nsid') return select(2, pcall(r.generate_rkey, r))",
    "cannot auto-generate rkey for nsid key type — use set_rkey() instead",
  ],
  [
    "no key type",
    "local r = Record('a.b.c') return select(2, pcall(r.generate_rkey, r))",
    "no _key_type set — call set_key_type() first or use a record-type lexicon",
  ],
  [
    "save without auth",
    "local r = Record(collection, { text = 'a' }) return select(2, pcall(r.save, r))",
    noAuth,
  ],
  [
    "delete without auth",
    "local r = Record(collection, { text = 'a' }) return select(2, pcall(r.delete, r))",
    noAuth,
  ],
  ["save_all without auth", "return select(2, pcall(Record.save_all, {}))", noAuth],
  [
    "save_local checks what is required",
    "local r = Record(collection) return select(2, pcall(r.save_local, r))",
    "missing required field 'text'",
  ],
  [
    "save_local needs a DID",
    "local r = Record(collection, { text = 'a' }) return select(2, pcall(r.save_local, r))",
    'save_local() needs a DID — call :set_repo("did:plc:...") or load the record first',
  ],
  [
    "delete_local needs a uri",
    "local r = Record(collection) return select(2, pcall(r.delete_local, r))",
    "cannot delete_local a Record that has no _uri",
  ],
  ["delete_local of what is not there", "return Record.delete_local('at://did:plc:x/a.b.c/1')", false],
  ["load of what is not there", "return Record.load('at://did:plc:x/a.b.c/1') == nil", true],
  [
    "a place that is no record",
    "local r = Record('nonsense', { text = 'a' }):set_repo('did:plc:x'):set_rkey('1') return (select(2, pcall(r.save_local, r))):match('invalid AT URI')",
    "invalid AT URI",
  ],
];

describe("Record in no-auth mode", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterAll(() => bench.stop());
  test.each(cases)("%s", async (_name, code, expected) => {
    expect(await value(bench.query(code))).toEqual(expected);
    expect(await rows(bench)).toEqual([]);
  });
});

describe.each(databases())("local writes on $name", (subject) => {
  test("create, load, change, delete; the row keeps what the network said", async () => {
    const bench = await startBench({}, { subject });
    const uri = `at://${author}/${collection}/one`;
    const create = `local r = Record.new(collection, { text = 'a', ratio = 2.0, unknown = 1, about = 'at://did:plc:x/a.b/1' })
      return r:set_repo('${author}'):set_rkey('one'):save_local()._uri`;
    expect(await value(bench.query(create))).toBe(uri);
    const body = {
      $type: collection,
      text: "a",
      stars: 3,
      tags: [],
      ratio: 2,
      about: "at://did:plc:x/a.b/1",
    };
    expect(await rows(bench)).toMatchObject([{ uri, cid: "", rev: "", indexed_at: null }]);
    const [row] = (await rows(bench)) as { record: string }[];
    expect(JSON.parse(row?.record ?? "")).toEqual(body);
    expect(row?.record).toContain('"ratio":2.0');
    const refs = "SELECT source_uri, target_uri FROM happyview_record_refs";
    expect(await bench.app.db.all(refs)).toEqual([{ source_uri: uri, target_uri: "at://did:plc:x/a.b/1" }]);

    await bench.app.db.run(
      "UPDATE happyview_records SET rev = '3kaaa', indexed_at = '2026-01-01' WHERE uri = ?",
      [uri],
    );
    const change = `local r = Record.load('${uri}') r.text = r.text .. 'b' r.about = nil r:save_local() return { r._uri, r._cid }`;
    expect(await value(bench.query(change))).toEqual([uri, ""]);
    expect(await rows(bench)).toMatchObject([
      { uri, rev: "3kaaa", indexed_at: "2026-01-01", record: expect.stringContaining('"text":"ab"') },
    ]);
    expect(await bench.app.db.all(refs)).toEqual([]);

    const all = `local l = Record.load_all({ 'at://did:plc:x/a.b/1', '${uri}' }) return { l[1] == nil, l[2].text }`;
    expect(await value(bench.query(all))).toEqual([true, "ab"]);
    expect(
      await value(bench.query(`local r = Record.load('${uri}'):delete_local() return r._uri == nil`)),
    ).toBe(true);
    expect(await rows(bench)).toEqual([]);
  });
});

describe("Record with a PDS", () => {
  test("save creates, then puts; the index mirrors it", async () => {
    const pds = fakePds();
    const bench = await startBench({ pds });
    n = 0;
    const code =
      "local r = Record(collection, input) r:save() r.text = 'b' r:save() return { r._uri, r._cid, ctx.has_pds_auth }";
    const uri = `at://${caller}/${collection}/r`;
    expect(await value(bench.procedure(code, { text: "a", other: 1 }))).toEqual([`${uri}2`, "bafy2", true]);
    const record = { $type: collection, text: "a", stars: 3, tags: [] };
    expect(pds.sent).toEqual([
      ["com.atproto.repo.createRecord", { repo: caller, collection, record }],
      [
        "com.atproto.repo.putRecord",
        { repo: caller, collection, rkey: "r1", record: { ...record, text: "b" } },
      ],
    ]);
    expect(await rows(bench)).toMatchObject([{ cid: "bafy1", indexed_at: null }, { cid: "bafy2" }]);
  });

  test("save_all begins all at once and writes back", async () => {
    const pds = fakePds();
    const bench = await startBench({ pds });
    const code = `local list = {} for i = 1, 50 do list[i] = Record(collection, { text = 't' .. i }) end
      local answers = Record.save_all(list)
      local uris = {} for i, r in ipairs(list) do uris[r._uri] = answers[i].uri == r._uri end
      local n = 0 for _, same in pairs(uris) do if same then n = n + 1 end end
      return { #answers, n }`;
    expect(await value(bench.procedure(code))).toEqual([50, 50]);
    expect(pds.sent).toHaveLength(50);
    const invalid =
      "return select(2, pcall(Record.save_all, { Record(collection, { text = 'a' }), Record(collection) }))";
    expect(await value(bench.procedure(invalid))).toBe("missing required field 'text'");
    expect(pds.sent).toHaveLength(50);
  });

  test("delete forgets the row whatever the PDS says", async () => {
    const bench = await startBench({ pds: fakePds(() => ({ status: 500, body: "down" })) });
    const uri = await bench.put("one", { text: "a" });
    const code = `local r = Record.load('${uri}'):delete() return r._uri == nil`;
    expect(await value(bench.procedure(code))).toBe(true);
    expect(await rows(bench)).toEqual([]);
  });

  test("a PDS that refuses, and a session that ended", async () => {
    const refusing = await startBench({ pds: fakePds(() => ({ status: 400, body: '{"error":"Bad"}' })) });
    const code = "Record(collection, { text = 'a' }):save()";
    expect(await refusing.procedure(code)).toMatchObject({
      status: 500,
      body: { errorType: "runtime", line: 2, message: 'PDS createRecord returned 400: {"error":"Bad"}' },
    });
    const ended = await startBench({
      pds: fakePds(() => {
        throw new PdsAuthError("session expired");
      }),
    });
    expect(await ended.procedure(code)).toEqual({ status: 401, body: { error: "session expired" } });
  });
});
