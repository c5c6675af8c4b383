import { describe, expect, it, onTestFinished } from "vitest";
import { dbFilters, type DbFiltersOptions } from "../../../plugins/db-filters/index.ts";
import { applyIndexes, planIndexes } from "../../../plugins/db-filters/indexes.ts";
import { adminHeaders, limitedCaller, limitedHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases, migrated, type DatabaseSubject } from "../../setup/databases.ts";
import { jsonBody, queryLexicon, recordLexicon } from "../../suites/http/subject.ts";
import { collection, did, storeRecords } from "./_records.ts";

async function start(subject: DatabaseSubject, options: DbFiltersOptions): Promise<TestApp> {
  const test = await startApp(subject, { plugins: [limitedCaller(), dbFilters(options)] });
  onTestFinished(test.stop);
  await test.request(
    "/admin/lexicons",
    jsonBody("POST", { lexicon_json: recordLexicon(collection) }, adminHeaders),
  );
  const list = { lexicon_json: queryLexicon("org.example.list"), target_collection: collection };
  await test.request("/admin/lexicons", jsonBody("POST", list, adminHeaders));
  return test;
}

const many = Object.fromEntries(
  Array.from({ length: 3000 }, (_, i) => [
    `k${i}`,
    { status: `s${i}`, rating: i, author: { handle: `h${i % 7}` } },
  ]),
);
const query = (filter: unknown): string => encodeURIComponent(JSON.stringify(filter));

async function list(
  test: TestApp,
  parameters: string,
): Promise<{ status: number; keys: string[]; cursor: string | undefined; message: string | undefined }> {
  const response = await test.request(`/xrpc/org.example.list?${parameters}`);
  const body = (await response.json()) as { records?: { uri: string }[]; cursor?: string; error?: string };
  const keys = (body.records ?? []).map(({ uri }) => uri.split("/").at(-1) ?? "");
  return { status: response.status, keys, cursor: body.cursor, message: body.error };
}

describe.each(databases())("db-filters on $name", (subject) => {
  it("leaves lists over XRPC alone unless it is asked to", async () => {
    const test = await start(subject, {});
    await storeRecords(test.app.db, { a: { n: 1 }, b: { n: 2 } });
    expect((await list(test, `filter=${query({ field: "n", value: 1 })}`)).keys).toEqual(["b", "a"]);
  });

  it("filters lists over XRPC, with did, limit and cursor", async () => {
    const test = await start(subject, { xrpc: true });
    await storeRecords(test.app.db, { a: { n: 1 }, b: { n: 2 }, c: { n: 3 }, d: { n: 4 } });
    const filter = `filter=${query({
      op: "OR",
      conditions: [
        { field: "n", op: "<", value: 2 },
        { field: "n", op: ">", value: 2 },
      ],
    })}`;
    expect((await list(test, filter)).keys).toEqual(["d", "c", "a"]);
    expect((await list(test, `${filter}&did=${did}&limit=1`)).keys).toEqual(["d"]);
    const first = await list(test, `${filter}&limit=2`);
    expect(first.keys).toEqual(["d", "c"]);
    expect((await list(test, `${filter}&limit=2&cursor=${first.cursor}`)).keys).toEqual(["a"]);
    expect((await list(test, `${filter}&cursor=1`)).keys).toEqual(["c", "a"]);
    expect((await list(test, "filter=")).keys).toHaveLength(4);
  });

  it.each([
    ["{", "filter is not JSON"],
    ['{"field":"a b","value":1}', "invalid filter field 'a b'"],
    ['"x"', "a filter is a table"],
    [
      JSON.stringify(Array.from({ length: 21 }, () => ({ field: "a", value: 1 }))),
      "too many conditions (max 20)",
    ],
    [`[${" ".repeat(8200)}]`, "longer than 8192"],
  ])("refuses %s over XRPC", async (filter, message) => {
    const test = await start(subject, { xrpc: true });
    const answer = await list(test, `filter=${encodeURIComponent(filter)}`);
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer)).toContain(message);
    expect((await list(test, "filter=1&filter=2")).status).toBe(400);
  });

  it("makes the indexes of the config, keeps them, and drops those that are gone", async () => {
    await using db = await migrated(subject);
    const plan = (fields: string[]): ReturnType<typeof planIndexes> =>
      planIndexes({ [collection]: fields }, { dialect: db.dialect, byArrival: true });
    const both = plan(["status", "author.handle"]);
    expect(new Set(both.map(({ name }) => name)).size).toBe(6);
    expect((await applyIndexes(db, both)).created).toHaveLength(6);
    expect(await applyIndexes(db, both)).toEqual({ created: [], dropped: [] });
    const { created, dropped } = await applyIndexes(db, plan(["status"]));
    expect([created.length, dropped.length]).toEqual([0, 3]);
    expect(dropped[0]).toMatch(/^happyview_by_field_author_handle_[0-9a-f]{12}$/);
    expect((await applyIndexes(db, [])).dropped).toHaveLength(3);
  });

  it("stores every record that is indexed, however long or odd", async () => {
    await using db = await migrated(subject);
    await applyIndexes(db, planIndexes({ [collection]: ["text"] }, { dialect: db.dialect, byArrival: true }));
    const long = Array.from({ length: 4000 }, (_, i) =>
      String.fromCodePoint(0x4e00 + ((i * 7919) % 20000)),
    ).join("");
    await storeRecords(db, {
      long: { text: long },
      nul: { text: "\0" },
      odd: { text: "\uD800" },
      huge: { text: 1e300 },
    });
    expect(await db.all("SELECT rkey FROM happyview_records")).toHaveLength(4);
  });

  it.each([
    ["a bad collection", { "not an nsid": ["a"] }, '"not an nsid" is no NSID'],
    ["a bad field", { [collection]: ["a-b"] }, '"a-b" of org.example.item is no field path'],
  ])("refuses %s at start", async (_, indexes, message) => {
    await expect(startApp(subject, { plugins: [dbFilters({ indexes })] })).rejects.toThrow(message);
  });

  it.each([
    [{ field: "status", value: "s7" }, true],
    // Postgres has no statistics of an index that holds a part of the table: it believes in ranges with two ends.
    [
      [
        { field: "rating", op: ">", value: 2990 },
        { field: "rating", op: "<=", value: 2995 },
      ],
      true,
    ],
    [
      [
        { field: "author.handle", op: "!=", value: "h1" },
        { field: "status", value: "s7" },
      ],
      true,
    ],
    [{ field: "rating", op: "!=", value: 5 }, false],
    [{ field: "other", value: "x" }, false],
  ])("explains %j", async (filter, indexed) => {
    const test = await start(subject, { xrpc: true, indexes: { [collection]: ["status", "rating"] } });
    await storeRecords(test.app.db, many);
    await test.app.db.run("ANALYZE");
    const path = `/admin/filters/explain?collection=${collection}&filter=${query(filter)}`;
    expect((await test.request(path)).status).toBe(401);
    expect((await test.request(path, { headers: limitedHeaders })).status).toBe(403);
    const response = await test.request(path, { headers: adminHeaders });
    expect(await response.json()).toMatchObject({
      indexed,
      hint: indexed ? null : expect.stringContaining("dbFilters("),
    });
    // A list by arrival has an index in that order.
    if (indexed) expect((await list(test, `filter=${query(filter)}`)).keys.length).toBeGreaterThan(0);
  });

  it("refuses to explain what is no filter", async () => {
    const test = await start(subject, {});
    const path = `/admin/filters/explain?collection=${collection}`;
    expect((await test.request(path, { headers: adminHeaders })).status).toBe(400);
    const bad = await test.request(`${path}&filter=${query({})}`, { headers: adminHeaders });
    expect([bad.status, await bad.text()]).toEqual([
      400,
      expect.stringContaining("filter group has no conditions"),
    ]);
  });
});
