import { describe, expect, it } from "vitest";
import { scriptQueries } from "../../../plugins/db-filters/lua/queries.ts";

const statuses = "xyz.statusphere.status";

/** The queries, without what is as it is for most. */
function queries(source: string, collection?: string): unknown[] {
  return scriptQueries(source, collection).map((query) =>
    Object.fromEntries(
      Object.entries(query).filter(([key, value]) => !(value === undefined || value === usual[key])),
    ),
  );
}
const usual: Record<string, unknown> = { line: 1, direction: "DESC", byAuthor: false };

describe("the queries that a script writes down", () => {
  it.each([
    [
      "a condition",
      `db.query({ collection = "c", filter = { field = "a", op = ">", value = 5 } })`,
      { call: "db.query", collection: "c", filter: { field: "a", op: ">", value: 1 } },
    ],
    [
      "no brackets, other quotes and separators",
      `db.query { collection = 'c'; ["filter"] = { field = [[a]], value = 'x' }; }`,
      { call: "db.query", collection: "c", filter: { field: "a", value: "x" } },
    ],
    [
      "a value that only the run knows",
      `db.query({ collection = "c", filter = { field = "a", value = f(x, { 1, 2 }) .. "y" } })`,
      { call: "db.query", collection: "c", filter: { field: "a", value: "?" } },
    ],
    [
      "a value that is a function's",
      `db.query({ collection = "c", filter = { field = "a", value = (function() if x then return 1, 2 end end)() }, sort = "b" })`,
      { call: "db.query", collection: "c", filter: { field: "a", value: "?" }, sort: "b" },
    ],
    [
      "a boolean and a negative number",
      `db.query({ collection = "c", filter = { { field = "a", value = true }, { field = "b", value = -1.5e3 } } })`,
      {
        call: "db.query",
        collection: "c",
        filter: {
          conditions: [
            { field: "a", value: true },
            { field: "b", value: 1 },
          ],
        },
      },
    ],
    [
      "groups of both forms",
      `db.query({ collection = "c", filter = { combine = "OR", { field = "a", value = 1 }, { op = "AND", conditions = { { field = "b", value = 1 } } } } })`,
      {
        call: "db.query",
        collection: "c",
        filter: {
          combine: "OR",
          conditions: [
            { field: "a", value: 1 },
            { op: "AND", conditions: [{ field: "b", value: 1 }] },
          ],
        },
      },
    ],
    [
      "a sort",
      `db.query({ collection = "c", sort = "a.b[0]", sortDirection = "asc", did = params.did })`,
      { call: "db.query", collection: "c", sort: "a.b[0]", direction: "ASC", byAuthor: true },
    ],
    [
      "neither",
      `return #db.query({ collection = "c", filter = nil, did = nil }).records`,
      { call: "db.query", collection: "c" },
    ],
    [
      "a protected call",
      `local ok, page = pcall(db.query, { collection = "c", sort = "a" })`,
      { call: "db.query", collection: "c", sort: "a" },
    ],
    [
      "a search",
      `db.search({ collection = "c", field = "name", query = params.q })`,
      { call: "db.search", collection: "c", filter: { field: "name", op: "LIKE", value: "%?%" } },
    ],
    [
      "a search of version 3",
      `local db = require("happyview.db") return db.search("c", "name", input.q)`,
      { call: "db.search", collection: "c", filter: { field: "name", op: "LIKE", value: "%?%" } },
    ],
    [
      "a chain of version 3",
      `require("happyview.db").records("c"):where("a", "=", x):where("b", "ilike", "y%"):did(d):sort("a", "asc"):limit(5):run()`,
      {
        call: "happyview.db",
        collection: "c",
        filter: [
          { field: "a", op: "=", value: "?" },
          { field: "b", op: "ilike", value: "y%" },
        ],
        sort: "a",
        direction: "ASC",
        byAuthor: true,
      },
    ],
    [
      "a chain whose steps are left out",
      `local db = require "happyview.db" return db.records("c"):where("a", "=", nil):sort(nil):count()`,
      { call: "happyview.db", collection: "c" },
    ],
  ])("%s", (_, source, query) => {
    expect(queries(source)).toEqual([query]);
  });

  it.each([
    ["options of another place", "db.query(options)", "its options"],
    ["an alias", "local query = db.query", "its options"],
    ["a filter of another place", `db.query({ collection = "c", filter = filter })`, "its filter"],
    [
      "a part of a filter",
      `db.query({ collection = "c", filter = { f, { field = "a", value = 1 } } })`,
      "its filter",
    ],
    ["a field", `db.query({ collection = "c", filter = { field = f, value = 1 } })`, "its filter"],
    [
      "an operator",
      `db.query({ collection = "c", filter = { field = "a", op = o, value = 1 } })`,
      "its filter",
    ],
    [
      "a field put together",
      `db.query({ collection = "c", filter = { field = "a" .. x, value = 1 } })`,
      "its filter",
    ],
    [
      "a field with an escape",
      `db.query({ collection = "c", filter = { field = "\\97", value = 1 } })`,
      "its filter",
    ],
    ["a sort", `db.query({ collection = "c", sort = params.sort or "a" })`, "its sort"],
    ["a collection", `db.query({ collection = collection, sort = "a" })`, "its collection"],
    ["a field of a search", `db.search({ collection = "c", field = f, query = "x" })`, "its options"],
    ["a field of a chain", `require("happyview.db").records("c"):where(f, "=", 1)`, "its filter"],
    ["a sort of a chain", `require("happyview.db").records("c"):sort(f)`, "its sort"],
  ])("%s that only the run knows", (_, source, unknown) => {
    expect(queries(source)).toEqual([expect.objectContaining({ unknown })]);
  });

  it.each([
    ["a comment", `-- db.query({ sort = "a" })\n--[==[ db.query({ sort = "a" })\n]] ]==]`],
    ["a string", `local s = 'db.query({ sort = "a" })' .. [[ db.query({}) ]]`],
    ["a member of something else", `other.db.query({ sort = "a" }) x:db.query()`],
    ["an assignment", "db.query = nil"],
    ["records of something else", `game.records("c"):where("a", "=", 1)`],
  ])("sees none in %s", (_, source) => {
    expect(queries(source)).toEqual([]);
  });

  it("knows constants, the global `collection`, and lines", () => {
    const source = `
      local field, other = "wrong", 1
      local by = "status"
      local Collection <const> = "${statuses}"
      function handle()
        local text = [[
          two lines]]
        local a = db.query({ collection = Collection, filter = { field = by, value = "x" } })
        return db.query({
          collection = collection, sort = by,
        })
      end`;
    expect(queries(source, "org.example.target")).toEqual([
      { line: 8, call: "db.query", collection: statuses, filter: { field: "status", value: "x" } },
      { line: 9, call: "db.query", collection: "org.example.target", sort: "status" },
    ]);
  });

  it.each([
    ["assigned again", `local c = "a" c = "b"`],
    ["declared twice", `local c = "a" do local c = "b" end`],
    ["put together", `local c = "a" .. b`],
    ["one of two", `local c = "a" or b`],
    ["a parameter", `local c = "a" local function f(x, c) end`],
    ["a parameter of a method", `local c = "a" function m.x:y(c) end`],
    ["a loop's", `local c = "a" for _, c in pairs(t) do end`],
    ["of a list", `local c = "a" local b, c = 1, 2`],
    ["no string", "local c = 5"],
  ])("takes no name for a constant that is %s", (_, source) => {
    expect(queries(`${source} return db.query({ collection = c, sort = "a" })`)).toEqual([
      expect.objectContaining({ unknown: "its collection" }),
    ]);
  });

  it("keeps a constant beside fields of its name", () => {
    const source = `local c = "a"; t.c = 1; local t = { c = 2, d = 1; c = 3 } return db.query({ collection = c, sort = "a" })`;
    expect(queries(source)).toEqual([{ call: "db.query", collection: "a", sort: "a" }]);
  });

  it.each([
    "db.query({",
    "db.query({ [",
    "db.query({ ) } ]",
    "db.query{{{{",
    '"',
    "[[",
    "db.query({ a = ]]",
    "local",
    "for",
    "function",
  ])("comes to an end with %j, which is no Lua", (source) => {
    expect(queries(source).length).toBeLessThan(2);
  });

  it.each([
    [
      "deeply nested",
      `db.query({ collection = "c", filter = ${"{".repeat(50_000)}${"}".repeat(50_000)} })`,
      1,
    ],
    ["never closed", `x = ${"[[".repeat(200_000)}${"--[[".repeat(100_000)}`, 0],
    ["many calls", "db.query(x)".repeat(10_000) + "db.query(".repeat(10_000) + "1", 20_000],
    ["many names", "local function for ".repeat(50_000), 0],
  ])("reads a long script that is %s", (_, source, count) => {
    expect(queries(source)).toHaveLength(count);
  });
});
