import { describe, expect, it } from "vitest";
import type { Dialect } from "../../../../core/db/database.ts";
import { prepareRaw } from "../../../../plugins/lua-scripts/api/db-raw-statements.ts";

const both: readonly Dialect[] = ["sqlite", "postgres"];
const sqlite: readonly Dialect[] = ["sqlite"];
const postgres: readonly Dialect[] = ["postgres"];
const internal = (name: string): string =>
  `db.raw cannot reference the protected internal HappyView table '${name}'`;
const prepare = (sql: string, dialect: Dialect): string =>
  prepareRaw(sql, dialect, false)
    .statements.map((statement) => statement.sql)
    .join(" ; ");

describe("what db.raw refuses", () => {
  it.each([
    ["SELECT * FROM happyview_api_keys", "happyview_api_keys", both],
    ["SELECT * FROM HappyView_Users", "HappyView_Users", both],
    ['SELECT * FROM "happyview_users"', "happyview_users", both],
    ['SELECT * FROM main."happyview_users"', "happyview_users", both],
    ["SELECT * FROM public.happyview_users u", "happyview_users", both],
    ["SELECT 1; DROP TABLE happyview_users", "happyview_users", both],
    ["SELECT 1/**/;/* ' */DELETE FROM/**/happyview_users/**/", "happyview_users", both],
    ["SELECT '--' FROM happyview_users", "happyview_users", both],
    ["SELECT 'it''s' FROM happyview_users", "happyview_users", both],
    [
      "WITH x AS (SELECT * FROM happyview_script_variables) SELECT * FROM x",
      "happyview_script_variables",
      both,
    ],
    ["INSERT INTO happyview_records SELECT * FROM happyview_scripts", "happyview_scripts", both],
    ["SELECT * FROM _sqlx_migrations", "_sqlx_migrations", both],
    ["SELECT happyview_users.did FROM records", "happyview_users", both],
    ["SELECT * FROM [happyview_users]", "happyview_users", sqlite],
    ["SELECT * FROM `happyview_users`", "happyview_users", sqlite],
    ["SELECT * FROM 'happyview_users'", "happyview_users", sqlite],
    ["SELECT * FROM records, 'happyview_users'", "happyview_users", sqlite],
    ["SELECT 1 /* /* */ FROM happyview_users -- */", "happyview_users", sqlite],
    [String.raw`SELECT 'a\' FROM happyview_users --'`, "happyview_users", both],
    [String.raw`SELECT E'a\'' FROM happyview_users`, "happyview_users", postgres],
    ["SELECT $$ $$ FROM happyview_users", "happyview_users", postgres],
    ["SELECT $a$ $$ $a$ FROM happyview_users", "happyview_users", postgres],
    ["DO $$ BEGIN DELETE FROM happyview_users; END $$", "happyview_users", postgres],
    [
      "CREATE FUNCTION f() RETURNS int AS $x$ SELECT 1 FROM happyview_users $x$ LANGUAGE sql",
      "happyview_users",
      postgres,
    ],
  ])("%s", (sql, name, dialects) => {
    for (const dialect of dialects) expect(() => prepare(sql, dialect)).toThrow(internal(name));
  });

  it.each([
    ['SELECT * FROM U&"happyview\\005fusers"', "db.raw does not allow unicode-escaped identifiers"],
    ["SELECT u&'x'", "db.raw does not allow unicode-escaped identifiers"],
    ["SELECT 'open", "db.raw could not parse SQL: unterminated string literal at character 8"],
    ['SELECT "open', "db.raw could not parse SQL: unterminated quoted identifier at character 8"],
    ["SELECT 1 /* open", "db.raw could not parse SQL: unterminated comment at character 10"],
  ])("%s", (sql, message) => {
    for (const dialect of both) expect(() => prepare(sql, dialect)).toThrow(message);
  });

  it.each([
    ["SELECT [open", sqlite],
    ["SELECT 1 /* /* */ FROM x", postgres],
    ["SELECT $a$ $b$", postgres],
  ])("%s", (sql, dialects) => {
    for (const dialect of dialects) expect(() => prepare(sql, dialect)).toThrow("db.raw could not parse SQL");
  });
});

describe("what db.raw takes as it is", () => {
  it.each([
    "SELECT * FROM happyview_records r JOIN happyview_record_refs USING (uri)",
    "SELECT * FROM HAPPYVIEW_LABELS, happyview_lexicons, happyview_jobs, happyview_spaces, happyview_space_members",
    "SELECT * FROM happyview_space_records, happyview_space_record_oplog, happyview_space_notify_registrations, happyview_space_dids",
    "SELECT /* happyview_users */ 'happyview_users' AS happy -- happyview_users",
    "INSERT INTO mine VALUES ('a', 'happyview_users')",
    "SELECT * FROM records WHERE val IN ('happyview_users')",
    "SELECT u & 1 FROM t",
    "SELECT myhappyview_users, 1.5e-3, .5, 0xff FROM über",
  ])("%s", (sql) => {
    for (const dialect of both) expect(prepare(sql, dialect)).toBe(sql.replace(/ -- .*$/, ""));
  });
});

describe("what db.raw rewrites for SQLite", () => {
  it.each([
    [
      "INSERT INTO records (uri) VALUES (?) ON CONFLICT DO NOTHING",
      "INSERT INTO happyview_records AS records (uri) VALUES (?1) ON CONFLICT DO NOTHING",
    ],
    [
      'INSERT INTO main."labels" AS l (src) VALUES ($2) ON CONFLICT DO NOTHING',
      "INSERT INTO main.happyview_labels AS l (src) VALUES (?2) ON CONFLICT DO NOTHING",
    ],
    [
      "INSERT INTO record_refs SELECT 1, 2, 3 WHERE true ON CONFLICT DO NOTHING",
      "INSERT INTO happyview_record_refs AS record_refs (source_uri, target_uri, collection) SELECT 1, 2, 3 WHERE true ON CONFLICT DO NOTHING",
    ],
    ["INSERT INTO records (uri) VALUES (1)", "INSERT INTO records (uri) VALUES (1)"],
    [
      "INSERT INTO mine (records) VALUES (1) ON CONFLICT DO NOTHING",
      "INSERT INTO mine (records) VALUES (1) ON CONFLICT DO NOTHING",
    ],
    ["SELECT ?, ?3, ?; SELECT ?", "SELECT ?1, ?3, ?4 ; SELECT ?5"],
  ])("%s", (sql, expected) => {
    expect(prepare(sql, "sqlite")).toBe(expected);
  });
});
