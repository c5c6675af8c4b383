import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPool } from "../../../../plugins/lua-scripts/engine/pool.ts";
import { databases, type TestDatabase } from "../../../setup/databases.ts";
import { log, openTestPool, type TestPool } from "./_pool.ts";

const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const collection = "test.example.record";

describe.each(databases())("db on $name", (subject) => {
  let database: TestDatabase;
  let pool: TestPool;

  beforeAll(async () => {
    database = await subject.open();
    pool = await openTestPool({}, database.url);
    const columns = {
      uri: "text",
      did: "text",
      collection: "text",
      rkey: "text",
      record: "text",
      created_at: "text",
    } as const;
    const rows = Array.from({ length: 130 }, (_, i) => {
      const rkey = String(i).padStart(3, "0");
      const author = i % 10 === 0 ? "did:plc:other" : did;
      const record =
        i === 0
          ? "{}"
          : `{"$type":"${collection}","n":${i},"uri":"mine","big":9007199254740993,"at":null,"f":1.0}`;
      const created = `2026-05-20T12:00:${String(Math.floor(i / 3)).padStart(2, "0")}.000000000+00:00`;
      return [`at://${author}/${collection}/${rkey}`, author, collection, rkey, record, created];
    });
    await pool.database.insertMany({ table: "happyview_records", columns }, rows);
  });
  afterAll(async () => {
    await pool.close();
    await database.drop();
  });

  const q = (options: string): string => `db.query({ collection = "${collection}", ${options} })`;
  test.each([
    [
      "newest first, twenty of them",
      `local r = ${q("")} return { #r.records, r.records[1].n, r.records[20].n, type(r.cursor) }`,
      '[20,129,110,"string"]',
    ],
    [
      "a record is its body and the uri",
      `return ${q("limit = 1")}.records[1].uri`,
      `"at://${did}/${collection}/129"`,
    ],
    [
      "values are exact",
      `local r = ${q("limit = 1")}.records[1] return { r.big, r.f, type(r.at), r["$type"] }`,
      `[9007199254740993,1.0,"userdata","${collection}"]`,
    ],
    ["limit as text", `return #${q('limit = "3"')}.records`, "3"],
    ["limit as a whole float", `return #${q("limit = 3.0")}.records`, "3"],
    ["limit of the wrong type", `return #${q("limit = {}")}.records`, "20"],
    ["limit is capped", `return #${q("limit = 1000")}.records`, "100"],
    ["limit 0 is an empty page", `return ${q("limit = 0")}`, '{"records":[]}'],
    ["a negative limit is no way around the cap", `return #${q("limit = -1")}.records`, "100"],
    [
      "by author",
      `local r = ${q('did = "did:plc:other", limit = 50')} return { #r.records, r.cursor == nil }`,
      "[13,true]",
    ],
    [
      "an unreadable cursor is the first page",
      `return ${q('limit = 1, cursor = "???"')}.records[1].n`,
      "129",
    ],
    ["a cursor without a bar too", `return ${q('limit = 1, cursor = "aGVsbG8="')}.records[1].n`, "129"],
    ["nothing found is an array", 'return db.query({ collection = "test.none" })', '{"records":[]}'],
    [
      "a full last page has a cursor to an empty one",
      `local a = ${q("limit = 13, did = 'did:plc:other'")} local b = ${q("limit = 13, did = 'did:plc:other', cursor = a.cursor")} return { #b.records, b.cursor == nil }`,
      "[0,true]",
    ],
    [
      "walking by cursor sees all once",
      `local seen, n, c = {}, 0, nil repeat local r = ${q("limit = 30, cursor = c")} for _, x in ipairs(r.records) do if seen[x.uri] then return "twice" end seen[x.uri] = true n = n + 1 end c = r.cursor until not c return n`,
      "130",
    ],
    [
      "get",
      `local r = db.get("at://${did}/${collection}/001") return { r.n, r.uri }`,
      `[1,"at://${did}/${collection}/001"]`,
    ],
    [
      "get of an empty body",
      `return db.get("at://did:plc:other/${collection}/000")`,
      `{"uri":"at://did:plc:other/${collection}/000"}`,
    ],
    ["get of nothing", 'return type(db.get("at://nobody/x/y"))', '"nil"'],
  ])("%s", async (_name, code, expected) => {
    expect(await pool.evaluate(code)).toBe(expected);
  });

  test("backend", async () => {
    expect(await pool.evaluate("return db.backend()")).toBe(JSON.stringify(subject.name));
  });

  test("works inside pcall and coroutines", async () => {
    const code = `local n = 0 for x in coroutine.wrap(function() for _, x in ipairs(${q("limit = 3")}.records) do coroutine.yield(db.get(x.uri)) end end) do n = n + x.n end return { n, (pcall(db.get, "at://x")) }`;
    expect(await pool.evaluate(code)).toBe("[384,true]");
  });

  test("runs that read at once do not mix", async () => {
    const code =
      "local uri = params.uri local r = db.get(uri) return r.uri == uri and db.get(uri).uri == uri";
    const runs = Array.from({ length: 100 }, (_, i) =>
      pool.evaluate(code, {
        params: {
          uri: `at://${i % 10 === 0 ? "did:plc:other" : did}/${collection}/${String(i).padStart(3, "0")}`,
        },
      }),
    );
    expect(new Set(await Promise.all(runs))).toEqual(new Set(["true"]));
  });

  test("the cursor is the base64 of created_at and uri", async () => {
    const cursor = JSON.parse(await pool.evaluate(`return ${q("limit = 1")}.cursor`)) as string;
    expect(Buffer.from(cursor, "base64").toString()).toBe(
      `2026-05-20T12:00:43.000000000+00:00|at://${did}/${collection}/129`,
    );
  });
});

test("a database that fails is an error the script can catch", async () => {
  const broken = createPool({
    workers: 1,
    database: { dialect: "sqlite", file: "/nonexistent/x.db" },
    log,
  });
  const query = { method: "a.b.c", params: {}, collection: "" };
  const body = 'function handle() return select(2, pcall(db.get, "at://x")) end';
  const outcome = await broken.run({
    kind: "query",
    script: { trigger: "xrpc.query:a.b.c", body },
    env: {},
    query,
  });
  expect(outcome).toMatchObject({ kind: "value", json: expect.stringContaining("DB query failed: ") });
  await broken.close();
});
