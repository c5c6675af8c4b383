import { describe, expect, it } from "vitest";
import { databases } from "../../../setup/databases.ts";
import { collection, did, storeRecords } from "../../db-filters/_records.ts";
import { openShop, prelude } from "./_shop.ts";

const q = (options: string): string => `return keys(db.query({ collection = C, ${options} }))`;
const refused = (options: string): string => `return err(db.query, { collection = C, ${options} })`;
const rule =
  "use alphanumeric names with optional dot notation and array indices (e.g. 'name', 'author.handle', 'tags[0]')";
const noString = (type: string): string =>
  `error converting Lua ${type} to String (expected string or number)`;

describe.each(databases())("db.query and its kin on $name", (subject) => {
  const { pool, lua } = openShop(subject);

  it.each([
    // [what, code, result]
    ["newest first", q(""), "edcba"],
    ["did that is nobody's", q('did = "did:plc:none"'), ""],
    ["did of the wrong type", q("did = {}"), "edcba"],
    ["limit", q("limit = 2"), "ed"],
    ["limit in text", q('limit = " +2 "'), "ed"],
    ["limit with a fraction", q("limit = 2.5"), "edcba"],
    ["offset without sort", q("offset = 3"), "edcba"],
    ["sortDirection without sort", q('sortDirection = "asc"'), "edcba"],
    ["sort by time", q('sort = "indexed_at", sortDirection = "asc"'), "abcde"],
    ["sort by uri", q('sort = "uri"'), "edcba"],
    ["sort by did", q('sort = "did", sortDirection = "asc"'), "abcde"],
    ["sort by a number: missing ones are least", q('sort = "n", sortDirection = "asc"'), "decab"],
    ["sort by a number, the other way", q('sort = "n"'), "baced"],
    ["sort by text, as bytes", q('sort = "name", sortDirection = "asc"'), "dabce"],
    ["sort by what is text and number", q('sort = "mixed", sortDirection = "asc"'), "abced"],
    ["sort by a nested field", q('sort = "at.x", limit = 2'), "ba"],
    ["sort and offset", q('sort = "uri", offset = 2, limit = 2'), "cb"],
    ["sort and an offset below zero", q('sort = "uri", offset = -2, limit = 2'), "ed"],
    ["sort and a cursor that is none", q('sort = "uri", offset = 4, cursor = "?"'), "a"],
    ["sort wins over a cursor's offset", q('sort = "uri", offset = 4, cursor = "Mg=="'), "cba"],
    [
      "a cursor of the other mode",
      `local r = db.query({ collection = C, limit = 2 }) ${q('sort = "uri", cursor = r.cursor')}`,
      "edcba",
    ],
    ["the other way round", q('cursor = "Mg=="'), "edcba"],
    [
      "the cursor of a sorted list is its next offset",
      'return db.query({ collection = C, sort = "n", limit = 2 }).cursor',
      "Mg==",
    ],
    [
      "and ends when a page is short",
      'return db.query({ collection = C, sort = "n", limit = 2, offset = 4 }).cursor == nil',
      true,
    ],
    ["filter", q('filter = { field = "n", op = ">", value = 4 }'), "ba"],
    ["filter with a float", q('filter = { field = "n", op = "<", value = 4.5 }'), "c"],
    ["filter with a boolean", q('filter = { field = "on", value = false }'), "b"],
    ["filter in text", q('filter = { field = "n", op = ">", value = "3" }'), "cba"],
    [
      "filter with a group",
      q(
        'filter = { combine = "or", { field = "k", value = "a" }, { field = "tags[9]", value = 1 }, { { field = "k", value = "e" } } }',
      ),
      "ea",
    ],
    [
      "the announcement's group",
      q(
        'filter = { op = "OR", conditions = { { field = "k", value = "a" }, { op = "AND", conditions = { { field = "k", value = "e" } } } } }',
      ),
      "ea",
    ],
    [
      "a list with an op is still an AND",
      q('filter = { op = "OR", { field = "k", value = "a" }, { field = "k", value = "b" } }'),
      "",
    ],
    [
      "filter, sort and cursor",
      'local o = { collection = C, limit = 1, sort = "n", filter = { field = "n", op = ">", value = 4 } } local a = db.query(o) o.cursor = a.cursor return keys(a) .. keys(db.query(o))',
      "ba",
    ],
    [
      "filter and keyset",
      'local o = { collection = C, limit = 1, filter = { field = "n", op = ">", value = 0 } } local a = db.query(o) o.cursor = a.cursor return keys(a) .. keys(db.query(o))',
      "cb",
    ],
    ["filter that is no table", q('filter = "x"'), "edcba"],
    ["filter of json null", q('filter = json.decode("null")'), "edcba"],
    [
      "the uri wins over a field of that name",
      `return db.get("at://${did}/" .. C .. "/a").uri`,
      `at://${did}/${collection}/a`,
    ],

    ["no options", "return err(db.query)", "error converting Lua nil to table"],
    ["no collection", "return err(db.query, {})", noString("nil")],
    ["a collection of the wrong type", "return err(db.query, { collection = {} })", noString("table")],
    ["bad sort", refused('sort = "a b"'), `invalid sort field: ${rule}`],
    [
      "bad direction",
      refused('sortDirection = "ASC"'),
      "invalid sortDirection 'ASC': must be 'asc' or 'desc'",
    ],
    [
      "bad filter field",
      refused('filter = { field = "$type", value = "x" }'),
      `invalid filter field '$type': ${rule}`,
    ],
    [
      "a value that is a function",
      refused('filter = { field = "k", value = print }'),
      "unsupported filter value type for 'k': function",
    ],
    [
      "a value that is a table",
      refused('filter = { field = "k", value = {} }'),
      "unsupported filter value type for 'k': table",
    ],
    [
      "a value that is null",
      refused('filter = { field = "k", value = json.decode("null") }'),
      "unsupported filter value type for 'k': lightuserdata",
    ],
    ["no value", refused('filter = { field = "k" }'), "unsupported filter value type for 'k': nil"],
    ["an empty group", refused("filter = {}"), "filter group has no conditions"],
    [
      "a group of strings",
      refused('filter = { "k" }'),
      "a filter is a table with `field` and `value`, or a list of such",
    ],

    ["search", 'return keys(db.search({ collection = C, field = "name", query = "ALPHA" }))', "ac"],
    [
      "search: inside, by value",
      'return keys(db.search({ collection = C, field = "name", query = "et" }))',
      "bc",
    ],
    ["search: wildcards", 'return keys(db.search({ collection = C, field = "name", query = "a%a" }))', "ac"],
    ["search: nested", 'return keys(db.search({ collection = C, field = "at.x", query = "2" }))', "b"],
    [
      "search: numbers have a text form",
      'return keys(db.search({ collection = C, field = "n", query = "0" }))',
      "b",
    ],
    [
      "search: limit",
      'return keys(db.search({ collection = C, field = "name", query = "a", limit = 1 }))',
      "a",
    ],
    [
      "search: limit 0",
      'return db.search({ collection = C, field = "name", query = "a", limit = 0 })',
      { records: [] },
    ],
    [
      "search: has no cursor",
      'return db.search({ collection = C, field = "name", query = "a", limit = 1 }).cursor == nil',
      true,
    ],
    [
      "search: bad field",
      'return err(db.search, { collection = C, field = "a-b", query = "x" })',
      `invalid search field: ${rule}`,
    ],
    ["search: no query", 'return err(db.search, { collection = C, field = "name" })', noString("nil")],

    ["count", "return { db.count(C), math.type(db.count(C)) }", [5, "integer"]],
    [
      "count by author",
      `return { db.count(C, "${did}"), db.count(C, "did:plc:none"), db.count(C, nil), db.count(C, {}) }`,
      [5, 0, 5, 5],
    ],
    ["count of nothing named", "return err(db.count)", noString("nil")],
    ["get of nothing named", "return err(db.get)", noString("nil")],
    ["get of what is not there", 'return db.get("at://x/y/z") == nil', true],
    ["backend", "return db.backend()", subject.name],
  ])("%s", async (_, code, expected) => {
    expect(await lua(prelude + code)).toEqual(expected);
  });

  it("finds backlinks by target, newest first, by pages", async () => {
    const links = Object.fromEntries(["l1", "l2", "l3"].map((k) => [k, { k }]));
    await storeRecords(pool().database, links, "org.example.link");
    await pool().database.insertMany(
      {
        table: "happyview_record_refs",
        columns: { source_uri: "text", target_uri: "text", collection: "text" },
      },
      [
        ["l1", "at://t/1"],
        ["l2", "at://t/1"],
        ["l3", "at://t/1"],
        ["l2", "at://t/2"],
      ].map(([k, target]) => [`at://${did}/org.example.link/${k}`, target ?? "", "org.example.link"]),
    );
    const code = `
      local function links(o) o.collection = "org.example.link" return db.backlinks(o) end
      local one = links({ uri = "at://t/1", limit = 2 })
      local two = links({ uri = "at://t/1", limit = 2, cursor = one.cursor })
      return { keys(one), keys(two), two.cursor == nil, keys(links({ uri = "at://t/2" })),
        keys(links({ uri = "at://t/1", did = "did:plc:none" })), keys(db.backlinks({ collection = C, uri = "at://t/1" })),
        keys(links({ uri = "at://t" })), #links({ uri = "at://t/1", limit = 0 }).records, err(db.backlinks, { collection = C }) }`;
    expect(await lua(prelude + code)).toEqual(["l3l2", "l1", true, "l2", "", "", "", 0, noString("nil")]);
  });

  it("sees the state of each moment", async () => {
    const code = `local before = db.count("org.example.new")
      db.raw("INSERT INTO records (uri, did, collection, rkey, record, cid, created_at) VALUES ('at://n', 'd', 'org.example.new', 'k', '{\\"v\\":1}', '', '2026')")
      return { before, db.count("org.example.new"), db.get("at://n").v }`;
    expect(await lua(code)).toEqual([0, 1, 1]);
  });
});
