import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { compileFilter } from "../../../plugins/db-filters/compile.ts";
import { parseFilter, type ParseOptions } from "../../../plugins/db-filters/parse.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { collection, storeRecords } from "./_records.ts";

const items = {
  a: { s: "Alpha", n: 5, b: true, deep: { list: [{ x: "one" }, { x: 2 }] }, tags: ["red", "blue"] },
  b: { s: "alphabet", n: -1.5, b: false, deep: { list: [] } },
  c: { s: "5", n: 10, b: "true", "0": "key" },
  d: { s: null, n: null, b: null },
  e: { s: "100%_off\\", n: "5", b: 1 },
  f: { s: "", n: 2 ** 53, big: 1, umlaut: "ärger" },
  g: { s: "nul\0here", n: 0, odd: "\uD800" },
};

// [field, op, value, keys]; the third column's type decides how it is compared.
const cases: [string, string, string | number | bigint | boolean, string, string?][] = [
  ["s", "=", "Alpha", "a"],
  ["s", "=", "alpha", ""],
  ["s", "=", "", "f"],
  ["s", "!=", "Alpha", "bcefg"],
  ["s", ">", "Alpha", "bg"],
  ["s", ">=", "Alpha", "abg"],
  ["s", "<", "6", "cef"],
  ["s", "<=", "5", "cef"],
  ["s", "LIKE", "%pha%", "ab"],
  ["s", "LIKE", "alpha%", "ab", "b"],
  ["s", "like", "_lpha", "a"],
  ["s", "NOT LIKE", "%a%", "cefg"],
  ["s", "LIKE", "%\\", "e"],
  ["s", "=", "' OR 1=1 --", ""],
  ["n", "=", 5, "a"],
  ["n", "=", 5n, "a"],
  ["n", "!=", 5, "bcfg"],
  ["n", ">", 4.5, "acf"],
  ["n", "<", 0, "b"],
  ["n", "<=", -1.5, "b"],
  ["n", ">=", 9007199254740992n, "f"],
  ["n", ">", 9007199254740993n, ""],
  ["n", ">", Number.NEGATIVE_INFINITY, "abcfg"],
  ["n", "<", Number.NaN, ""],
  ["n", "=", "5", "ae"],
  ["n", ">", "1", "acef"],
  ["n", "LIKE", "%5", "abe"],
  ["b", "=", true, "a"],
  ["b", "!=", true, "b"],
  ["b", "<", true, "b"],
  ["b", ">=", false, "ab"],
  ["b", "=", "true", "ac"],
  ["b", "=", 1, "e"],
  ["b", "LIKE", true, "ac"],
  ["s", "=", true, ""],
  ["0", "=", "key", "c"],
  ["deep.list[0].x", "=", "one", "a"],
  ["deep.list[1].x", "=", 2, "a"],
  ["deep.list[9].x", "=", 2, ""],
  ["deep.list.0.x", "=", "one", ""],
  ["deep.list.x", "=", "one", ""],
  ["tags[1]", "=", "blue", "a"],
  ["tags", "LIKE", '%"red"%', "a"],
  ["s[0]", "=", "A", ""],
  ["missing", "!=", "x", ""],
  ["missing", "NOT LIKE", "x", ""],
  ["missing", "<", 5, ""],
];

describe.each(databases())("filters on $name", (subject) => {
  let db: Database & AsyncDisposable;

  beforeAll(async () => {
    db = await migrated(subject);
    await storeRecords(db, items);
  });
  afterAll(() => db[Symbol.asyncDispose]());

  async function matching(filter: unknown, options?: ParseOptions): Promise<string> {
    const { sql, params } = compileFilter(parseFilter(filter, options), db.dialect);
    const rows = await db.all<{ rkey: string }>(
      `SELECT rkey FROM happyview_records WHERE collection = ? AND ${sql} ORDER BY rkey`,
      [collection, ...params],
    );
    return rows.map(({ rkey }) => rkey).join("");
  }

  it.each(cases)("%s %s %s", async (field, op, value, keys, onPostgres = keys) => {
    expect(await matching({ field, op, value })).toBe(subject.name === "postgres" ? onPostgres : keys);
  });

  it.each<[string, string, string | number | boolean, string, string?]>([
    ["n", "=", "5", "e"],
    ["n", "!=", "x", "e"],
    ["n", "=", 5, "a"],
    ["b", "=", "true", "c"],
    ["b", "=", true, "a"],
    ["s", ">", "Alpha", "bg"],
    ["tags", "=", '["red","blue"]', ""],
    ["n", "like", "5", "ae"],
    ["s", "ilike", "ALPHA%", "ab"],
    ["s", "ILIKE", "%OFF\\", "e"],
    ["n", "ilike", "5", "ae"],
    ["umlaut", "ilike", "ÄRGER", "", "f"],
    ["missing", "ilike", "%", ""],
  ])(
    "compare by the type of the value in version 3: %s %s %s",
    async (field, op, value, keys, onPostgres = keys) => {
      const expected = subject.name === "postgres" ? onPostgres : keys;
      expect(await matching({ field, op, value }, { typed: true })).toBe(expected);
    },
  );

  it("matches what Postgres cannot hold by the character that stands for it", async () => {
    const value = subject.name === "postgres" ? "nul\uFFFDhere" : "nul\0here";
    expect(await matching({ field: "s", value })).toBe("g");
    expect(await matching({ field: "s", value: "nul\0here" })).toBe("g");
    expect(await matching({ field: "odd", op: "LIKE", value: "_%" })).toBe("g");
  });

  it("combines at every depth", async () => {
    const a = { field: "s", value: "Alpha" };
    const c = { field: "n", op: ">", value: 5 };
    expect(await matching([a, c])).toBe("");
    expect(await matching({ op: "OR", conditions: [a, c] })).toBe("acf");
    expect(await matching([{ combine: "OR", conditions: [a, [c, { field: "s", value: "5" }]] }])).toBe("ac");
  });

  it("takes as many conditions as the parser does", async () => {
    const conditions = Array.from({ length: 500 }, (_, i) => ({ field: "n", op: "!=", value: i + 100 }));
    expect(await matching(conditions)).toBe("abcfg");
  });
});
