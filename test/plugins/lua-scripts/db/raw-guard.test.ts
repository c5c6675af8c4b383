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
    ...[
      "SELECT v.key FROM json_each('[1]') AS j, 'happyview_users' v",
      "SELECT 1 FROM records r JOIN labels l ON true, 'happyview_users'",
      "SELECT 1 FROM records JOIN labels USING (uri), 'happyview_users'",
      "SELECT 1 FROM (records), ('happyview_users')",
      "SELECT 1 WHERE 1 IN 'happyview_users'",
      "SELECT 1 WHERE 1 IN (SELECT 1 FROM records, 'happyview_users')",
      "SELECT 1 FROM main.'happyview_users'",
      "PRAGMA table_info = 'happyview_users'",
      "SELECT 1 AS 😀$a$, did FROM happyview_users AS x😀$a$",
      "CREATE VIRTUAL TABLE x USING fts5(did, content='happyview_users')",
    ].map((sql): [string, string, readonly Dialect[]] => [sql, "happyview_users", sqlite]),
    ...[
      "SELECT 1; DO $$ BEGIN DELETE FROM happyview_users; END $$",
      "DO 'BEGIN DELETE FROM happyview_users; END'",
      "DO $a$ BEGIN EXECUTE $b$ DELETE FROM happyview_users $b$; END $a$",
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM happyview_users'",
      "PREPARE p AS SELECT 1; EXECUTE p('happyview_users')",
      "DO 'BEGIN DELETE FROM happy'\n'view_users; END'",
      String.raw`DO E'BEGIN DELETE FROM \x68appyview\137users; END'`,
      String.raw`DO 'BEGIN EXECUTE E''DELETE FROM \u0068appyview_users''; END'`,
      "SELECT E'a'\n'\\'' AS k, did FROM happyview_users --'",
      "SELECT 1 --\r, did FROM happyview_users",
      "SELECT $€$ ' $€$, did FROM happyview_users, $€$ ' $€$",
      "SELECT 1 AS 😀$a$, did FROM happyview_users AS x😀$a$",
      "SELECT 1 AS \u00a0$a$, did FROM happyview_users AS x\u00a0$a$",
    ].map((sql): [string, string, readonly Dialect[]] => [sql, "happyview_users", postgres]),
    ["SELECT query_to_xml('SELECT 1', true, true, '')", "query_to_xml", postgres],
    ["SELECT pg_catalog.Query_To_XMLSchema('SELECT 1', true, true, '')", "Query_To_XMLSchema", postgres],
    ['SELECT "table_to_xml"(x, true, true, 1)', "table_to_xml", postgres],
    ["SELECT schema_to_xml('public', true, true, '')", "schema_to_xml", postgres],
    ["SELECT database_to_xml(true, true, '')", "database_to_xml", postgres],
    ["SELECT cursor_to_xml('c', 1, true, true, '')", "cursor_to_xml", postgres],
    ["SELECT * FROM ts_stat('SELECT 1')", "ts_stat", postgres],
    ["SELECT ts_rewrite('a'::tsquery, 'SELECT 1')", "ts_rewrite", postgres],
    ["SELECT dblink_exec('x', 'y')", "dblink_exec", postgres],
    ["SELECT * FROM crosstab3('SELECT 1')", "crosstab3", postgres],
    ["SELECT * FROM connectby('a', 'b', 'c', 'd', 0)", "connectby", postgres],
    ["SELECT * FROM xpath_table('a', 'b', 'c', 'd', 'e') AS t(a int)", "xpath_table", postgres],
    [
      String.raw`SET standard_conforming_strings=off; SELECT 'a\' || ' AS k UNION ALL SELECT value FROM happyview_users --'`,
      "standard_conforming_strings",
      postgres,
    ],
    ["SET escape_string_warning = off", "escape_string_warning", postgres],
    [
      "SELECT set_config('Standard_Conforming_Strings', 'off', false)",
      "Standard_Conforming_Strings",
      postgres,
    ],
    ["SELECT set_config('standard_' || 'conforming_strings', 'off', false)", "set_config", postgres],
    ["UPDATE pg_settings SET setting = 'off' WHERE name LIKE 'standard_c%'", "pg_settings", postgres],
    ["SET statement_timeout = 0", "statement_timeout", postgres],
    ["SELECT set_config('statement_timeout', '0', false)", "statement_timeout", postgres],
    ["DO 'BEGIN SET statement_timeout = 0; END'", "statement_timeout", postgres],
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

const made = "db.raw cannot run SQL that is put together at run time: give EXECUTE a single string";
const language = (name: string): string =>
  `db.raw cannot read functions in ${name}: write them in SQL or PL/pgSQL`;
const body = "BEGIN EXECUTE 'DELETE FROM happy' || 'view_users'; END";

describe("what db.raw refuses to run on Postgres, for it cannot read it", () => {
  it.each([
    [`DO $$ ${body} $$`, made],
    [`DO LANGUAGE plpgsql $$ ${body} $$`, made],
    [`SELECT 1; DO $$ ${body} $$`, made],
    [`DO '${body.replaceAll("'", "''")}'`, made],
    [`DO 'BEGIN EXEC'\n'UTE ''a'' || ''b''; END'`, made],
    [`CREATE FUNCTION f() RETURNS void AS $$ ${body} $$ LANGUAGE plpgsql`, made],
    [`CREATE OR REPLACE PROCEDURE f() LANGUAGE plpgsql AS $$ ${body} $$`, made],
    [`DO $a$ BEGIN DO $b$ ${body} $b$; END $a$`, made],
    [`DO $a$ BEGIN EXECUTE $b$ DO $c$ ${body} $c$ $b$; END $a$`, made],
    [
      `DO $a$ BEGIN EXECUTE $b$ CREATE FUNCTION f() RETURNS int AS $c$ ${body} $c$ LANGUAGE plpgsql $b$; END $a$`,
      made,
    ],
    ["DO $$ DECLARE t text := 'a'; BEGIN EXECUTE t; END $$", made],
    ["DO $$ BEGIN EXECUTE ('a' || 'b'); END $$", made],
    ["DO $$ BEGIN EXECUTE 'a' COLLATE \"C\"; END $$", made],
    ["DO $$ BEGIN EXECUTE format('DELETE FROM %I', 'x'); END $$", made],
    ["DO $$ DECLARE function text; BEGIN EXECUTE function OPERATOR(pg_catalog.||) ''; END $$", made],
    ["DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE 'a' || 'b' LOOP END LOOP; END $$", made],
    [
      "CREATE FUNCTION f(q text) RETURNS SETOF text AS $$ BEGIN RETURN QUERY EXECUTE q; END $$ LANGUAGE plpgsql",
      made,
    ],
    [
      "CREATE FUNCTION f(q text) RETURNS int AS $$ BEGIN RETURN QUERY EXECUTE $1; END $$ LANGUAGE plpgsql",
      made,
    ],
    ["DO LANGUAGE plperl $$ spi_exec_query('a' . 'b') $$", language("plperl")],
    ["DO $$ x $$ LANGUAGE 'plpython3u'", language("plpython3u")],
    ["CREATE FUNCTION f() RETURNS int AS 'x' LANGUAGE \"internal\"", language("internal")],
    ["DO $a$ BEGIN DO LANGUAGE plperl $b$ x $b$; END $a$", language("plperl")],
  ])("%s", (sql, message) => {
    expect(() => prepare(sql, "postgres")).toThrow(message);
  });

  it.each([
    "DO $$ BEGIN EXECUTE 'DELETE FROM mine'; END $$",
    "DO $$ DECLARE n int; BEGIN EXECUTE ('SELECT $1') INTO n USING 1; END $$",
    "DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE $q$ SELECT 1 $q$ LOOP END LOOP; END $$",
    "DO $$ BEGIN EXECUTE 'CREATE TRIGGER t BEFORE INSERT ON mine EXECUTE FUNCTION f()'; RAISE NOTICE 'to execute it'; END $$",
    "DO $$ BEGIN INSERT INTO mine VALUES (1) ON CONFLICT DO NOTHING; RAISE NOTICE 'I''ll execute it'; END $$",
    "DO $$ BEGIN GRANT EXECUTE ON FUNCTION f() TO PUBLIC; END $$",
    "CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION f('execute it')",
    "CREATE TABLE t (language text, note text DEFAULT 'do execute it')",
    "PREPARE p AS SELECT 1; EXECUTE p",
    "CREATE FUNCTION f(language text) RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql",
    "SELECT 'EXECUTE it', $$ EXECUTE it $$",
  ])("but takes %s", (sql) => {
    expect(prepare(sql, "postgres").replaceAll(" ; ", "; ")).toBe(sql);
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
    "SELECT * FROM records WHERE val = 'happyview_users' OR 'happyview_users' = val",
    "SELECT current_setting('statement_timeout'), set_config('work_mem', '1MB', true)",
    "CREATE TABLE t (k TEXT DEFAULT 'it''s', v TEXT DEFAULT 'happyview_records')",
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
