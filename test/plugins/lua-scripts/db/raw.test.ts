import { describe, expect, it } from "vitest";
import { databases } from "../../../setup/databases.ts";
import { collection, did } from "../../db-filters/_records.ts";
import { viewColumns } from "../../../../plugins/lua-scripts/api/db-raw-statements.ts";
import { openShop, prelude } from "./_shop.ts";

const raw = (sql: string, params = ""): string =>
  `return db.raw([==[${sql}]==]${params && `, { ${params} }`})`;
const refused = (sql: string, params = ""): string =>
  `return err(db.raw, [==[${sql}]==]${params && `, { ${params} }`})`;
const isPostgres = (name: string): boolean => name === "postgres";

describe.each(databases())("db.raw on $name", (subject) => {
  const { pool, lua } = openShop(subject);
  const onPostgres = isPostgres(subject.name);

  it.each([
    [
      "parameters by order",
      raw("SELECT rkey FROM records WHERE collection = ? AND rkey > ? ORDER BY rkey", "C, 'c'"),
      [{ rkey: "d" }, { rkey: "e" }],
    ],
    [
      "parameters by number",
      raw("SELECT rkey FROM happyview_records WHERE rkey = $2 AND collection = $1", "C, 'c'"),
      [{ rkey: "c" }],
    ],
    [
      "a parameter twice",
      raw("SELECT rkey FROM records WHERE rkey = $1 OR rkey < $1 ORDER BY rkey", "'b'"),
      [{ rkey: "a" }, { rkey: "b" }],
    ],
    [
      "question marks that are none",
      raw(`SELECT '?' AS "a?", rkey /* ? */ FROM records WHERE rkey = ? -- ?`, "'a'"),
      [{ "a?": "?", rkey: "a" }],
    ],
    ["values, not text", raw("SELECT rkey FROM records WHERE rkey = ?", '"\' OR 1=1 --"'), []],
    [
      "parameters that are missing are null",
      raw("SELECT coalesce(?, 'none') AS v, coalesce(?, 'none') AS w", "'x'"),
      [{ v: "x", w: "none" }],
    ],
    ["parameters nobody asks for", raw("SELECT 1 AS n", "1, 2"), [{ n: 1 }]],
    ["a parameter of no known type", raw("SELECT ? AS v", "'x'"), [{ v: "x" }]],
    [
      "integers keep all digits",
      'local r = db.raw("SELECT CAST(? AS BIGINT) AS n", { 9007199254740993 })[1].n return { r == 9007199254740993, math.type(r) }',
      [true, "integer"],
    ],
    [
      "floats stay floats",
      'local r = db.raw("SELECT CAST(? AS REAL) AS n", { 2.0 })[1].n return { r, math.type(r) }',
      [2, "float"],
    ],
    [
      "infinity is nil",
      'return db.raw("SELECT CAST(? AS DOUBLE PRECISION) AS n", { 1/0 })[1].n == nil',
      true,
    ],
    ["booleans are 1 and 0", raw("SELECT ? + 0 AS t, ? + 0 AS f", "true, false"), [{ t: 1, f: 0 }]],
    ["null is nil", 'local r = db.raw("SELECT NULL AS v, 1 AS n")[1] return { type(r.v), r.n }', ["nil", 1]],
    [
      "what a script cannot have is nil",
      onPostgres ? raw("SELECT now() AS t, '\\x00'::bytea AS b, 1 AS n") : raw("SELECT x'00' AS b, 1 AS n"),
      [{ n: 1 }],
    ],
    [
      "json comes as text",
      "return json.decode(db.raw(\"SELECT record FROM records WHERE rkey = 'a'\")[1].record).name",
      "Alpha",
    ],
    ["no rows are an array", raw("SELECT 1 AS n FROM records WHERE 1 = 0"), []],
    ["a count", raw("SELECT count(*) AS n FROM records WHERE collection = ?", "C"), [{ n: 5 }]],
    ["a text with a NUL", 'return #db.raw("SELECT ? AS v", { "a\\0b" })[1].v > 2', true],
    ["returning", raw("DELETE FROM happyview_labels WHERE src = 'nobody' RETURNING src"), []],
    [
      "an own table",
      `
      db.raw("CREATE TABLE mine (k TEXT PRIMARY KEY, n INTEGER)")
      local made = db.raw("INSERT INTO mine (k, n) VALUES ($1, $2)", { "x", 1 })
      for i = 2, 3 do db.raw("INSERT INTO mine (k, n) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET n = excluded.n", { "x", i }) end
      local rows = db.raw("SELECT * FROM mine")
      db.raw("DROP TABLE mine")
      return { made, rows }`,
      [[], [{ k: "x", n: 3 }]],
    ],
    [
      "several statements",
      `return db.raw("CREATE TABLE two (n INTEGER); INSERT INTO two VALUES (1); SELECT n FROM two; DROP TABLE two;")`,
      [{ n: 1 }],
    ],
    [
      "a transaction of its own",
      `
      db.raw("CREATE TABLE tx (n INTEGER)")
      local r = db.raw("BEGIN; INSERT INTO tx VALUES (1); COMMIT; SELECT n FROM tx")
      db.raw("BEGIN; INSERT INTO tx VALUES (2); ROLLBACK")
      local n = db.raw("SELECT count(*) AS n FROM tx")[1].n
      db.raw("DROP TABLE tx") return { r, n }`,
      [[{ n: 1 }], 1],
    ],
    [
      "settings end with the call",
      onPostgres
        ? `db.raw("SET lock_timeout = '7s'") local t = {} for i = 1, 3 do t[i] = db.raw("SELECT current_setting('lock_timeout') || current_setting('statement_timeout') AS t")[1].t end return t`
        : `db.raw("PRAGMA foreign_keys = OFF") local t = {} for i = 1, 3 do t[i] = db.raw("PRAGMA foreign_keys")[1].foreign_keys end return t`,
      onPostgres ? ["010s", "010s", "010s"] : [1, 1, 1],
    ],
    [
      "temporary tables end with the call",
      `
      db.raw("CREATE TEMP TABLE happyview_labels AS SELECT 'mine' AS src")
      local n = 0 for i = 1, 4 do n = n + #db.raw("SELECT src FROM happyview_labels") end return n`,
      0,
    ],
  ])("%s", async (_, code, expected) => {
    expect(await lua(prelude + code)).toEqual(expected);
  });

  it.each([
    ["nothing", "return err(db.raw)", /^error converting Lua nil to String/],
    ["a table as parameter", refused("SELECT ?", "{}"), /^unsupported parameter type: table$/],
    [
      "null as parameter",
      refused("SELECT ?", "json.decode('null')"),
      /^unsupported parameter type: lightuserdata$/,
    ],
    ["no SQL", refused("SELEKT 1"), /^db\.raw query failed: .*syntax error/],
    ["an unknown table", refused("SELECT * FROM nowhere"), /^db\.raw query failed: .*nowhere/],
    ["a transaction left open", refused("BEGIN; SELECT 1"), /^db\.raw query failed: a transaction must end/],
    ["a savepoint left open", refused("SAVEPOINT x"), /^db\.raw query failed: a transaction must end/],
  ])("refuses %s", async (_, code, expected) => {
    expect(await lua(prelude + code)).toMatch(expected);
    expect(await lua("return db.raw('SELECT 1 AS n')")).toEqual([{ n: 1 }]);
  });

  it("writes to the views of 2.9 as to tables", async () => {
    const code = `
      local uri = "at://raw/c/1"
      local function put(body) db.raw([[INSERT INTO records (uri, did, collection, rkey, record, cid, indexed_at, created_at)
        VALUES (?, 'raw', 'c', '1', ?, '', '2026', '2026') ON CONFLICT (uri) DO UPDATE SET record = excluded.record
        WHERE records.record <> excluded.record]], { uri, body }) end
      put('{"v":1}') put('{"v":2}')
      local v = db.get(uri).v
      db.raw("UPDATE records SET record = ? WHERE uri = ?", { '{"v":3}', uri })
      for i = 1, 2 do db.raw("INSERT INTO labels VALUES ('s', ?, 'spam', ?, NULL) ON CONFLICT (src, uri, val) DO UPDATE SET cts = excluded.cts", { uri, "t" .. i }) end
      db.raw("INSERT INTO record_refs (source_uri, target_uri, collection) VALUES (?, 'at://t', 'c') ON CONFLICT DO NOTHING", { uri })
      local back = db.backlinks({ collection = "c", uri = "at://t" }).records[1].v
      local label = db.raw("SELECT cts, exp FROM labels WHERE uri = $1", { uri })
      db.raw("DELETE FROM labels WHERE uri = ?", { uri })
      db.raw("DELETE FROM records WHERE uri = ?", { uri })
      return { v, back, label, db.get(uri) == nil, #db.raw("SELECT 1 FROM record_refs WHERE target_uri = 'at://t'") }`;
    expect(await lua(code)).toEqual([2, 3, [{ cts: "t2" }], true, 0]);
  });

  it("names the columns that the views have", async () => {
    for (const [view, columns] of Object.entries(viewColumns)) {
      const rows = await pool().database.all(`SELECT * FROM ${view} LIMIT 1`);
      const select = `SELECT ${columns.join(", ")} FROM ${view} LIMIT 1`;
      expect(await pool().database.all(select)).toEqual(rows);
      const names = onPostgres
        ? "SELECT column_name AS name FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position"
        : "SELECT name FROM pragma_table_info(?)";
      const known = await pool().database.all<{ name: string }>(names, [view]);
      expect(known.map(({ name }) => name)).toEqual(columns);
    }
  });

  it.runIf(!onPostgres)("keeps triggers whole", async () => {
    const code = `db.raw("CREATE TABLE tr (n INTEGER); CREATE TRIGGER tr_up AFTER INSERT ON tr BEGIN UPDATE tr SET n = CASE WHEN n = 1 THEN 10 ELSE 0 END; SELECT 1; END; INSERT INTO tr VALUES (1)")
      local r = db.raw("SELECT n FROM tr") db.raw("DROP TABLE tr") return r`;
    expect(await lua(code)).toEqual([{ n: 10 }]);
  });

  it.each([
    ["rows", 20_000, "x", "more than 10000 rows"],
    [
      "bytes",
      100,
      onPostgres ? "repeat('x', 1000000) AS t" : "hex(zeroblob(500000)) AS t",
      "the rows hold more than 32 MiB",
    ],
  ])("ends a run with too many %s", async (_, count, column, message) => {
    const sql = `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ${count}) SELECT ${column} FROM c`;
    await expect(lua(prelude + refused(sql))).rejects.toThrow(`db.raw query failed: ${message}`);
    expect(await lua("return db.raw('SELECT 1 AS n')")).toEqual([{ n: 1 }]);
  });

  it.runIf(onPostgres)("leaves nothing on the connection", async () => {
    const code = `
      local function query() return #db.query({ collection = C }).records end
      local function ask(sql) local t = {} for i = 1, 4 do t[i] = tostring(db.raw(sql)[1].v) end return table.concat(t, " ") end
      local before = query()
      for _, sql in ipairs({
        "SELECT set_config('lock_timeout', '7s', false)", "LISTEN x", "PREPARE p AS SELECT 1", "SELECT pg_advisory_lock(5)",
        "DO 'BEGIN SET lock_timeout = 7000; END'", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT 1; SET LOCAL lock_timeout = 7",
      }) do db.raw(sql) end
      return {
        ask("SELECT current_setting('lock_timeout') AS v"), ask("SELECT count(*) AS v FROM pg_listening_channels()"),
        ask("SELECT count(*) AS v FROM pg_prepared_statements WHERE name = 'p'"), ask("SELECT count(*) AS v FROM pg_locks WHERE locktype = 'advisory'"),
        ask("SELECT count(*) AS v FROM pg_cursors WHERE name = 'c'"), query() == before, query() == before,
      }`;
    expect(await lua(prelude + code)).toEqual([
      "0 0 0 0",
      "0 0 0 0",
      "0 0 0 0",
      "0 0 0 0",
      "0 0 0 0",
      true,
      true,
    ]);
  });

  it.runIf(onPostgres)("leaves Postgres' own operators and types alone", async () => {
    const code = `return db.raw([[SELECT record::jsonb ? 'tags' AS has, record::jsonb ?| array['x', 'k'] AS any, record::jsonb AS doc, E'it\\'s' AS e, $q$'"$q$ AS q
      FROM records WHERE rkey = 'c' AND collection = $1]], { "${collection}" })[1]`;
    expect(await lua(code)).toMatchObject({
      has: false,
      any: true,
      doc: expect.stringContaining('"k": "c"'),
      e: "it's",
      q: `'"`,
    });
    expect(
      await lua(
        `return db.raw("SELECT record::jsonb ? 'tags' AS has FROM records WHERE uri = 'at://${did}/${collection}/a'")`,
      ),
    ).toEqual([{ has: true }]);
  });
});
