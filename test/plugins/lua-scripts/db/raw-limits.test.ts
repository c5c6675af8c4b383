import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { databases, type TestDatabase } from "../../../setup/databases.ts";
import { openTestPool, type TestPool } from "../engine/_pool.ts";

/** Numbers from 1 on; without a limit it never ends. */
const numbers = (limit?: number): string =>
  `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c${limit ? ` WHERE x < ${limit}` : ""})`;
const endless = `${numbers()} SELECT count(*) AS n FROM c`;
const raw = (sql: string): string => `db.raw([==[${sql}]==])`;

const subjects = databases().flatMap((database) =>
  (["lua54", "fengari"] as const).map((engine) => ({ database, engine, name: database.name })),
);

describe.each(subjects)("the limits of db.raw on $name with $engine", ({ database, engine }) => {
  let opened: TestDatabase;
  let pool: TestPool;
  beforeAll(async () => {
    opened = await database.open();
    pool = await openTestPool({ workers: 1, engine }, opened.url);
    await pool.database.run("CREATE TABLE kept (n BIGINT)");
  });
  afterAll(async () => {
    await pool.close();
    await opened.drop();
  });

  const count = async (): Promise<unknown> =>
    (await pool.database.get<{ n: unknown }>("SELECT CAST(count(*) AS INTEGER) AS n FROM kept"))?.n;

  it.each([
    [
      "rawRows",
      `${numbers(20)} SELECT x FROM c`,
      { rawRows: 10 },
      "more than 10 rows; narrow it, or add a LIMIT",
      { rawRows: 11 },
    ],
    [
      "rawBytes",
      `${numbers(20)} SELECT x FROM c`,
      { rawBytes: 100 },
      "the rows hold more than 100 bytes; select fewer rows or columns",
      { rawRows: 14, rawBytes: 103 },
    ],
    ["rawMilliseconds", endless, { rawMilliseconds: 1000 }, "it took longer than 1 s", {}],
    [
      "rawMilliseconds",
      `INSERT INTO kept ${numbers()} SELECT x FROM c`,
      { rawMilliseconds: 300 },
      "it took longer than 0.3 s",
      {},
    ],
    [
      "rawMilliseconds",
      `BEGIN; INSERT INTO kept VALUES (1); ${endless}; COMMIT`,
      { rawMilliseconds: 300 },
      "it took longer than 0.3 s",
      {},
    ],
  ] as const)("%s of `%s` end the run, whatever the script does", async (limit, sql, limits, text, used) => {
    const code = `
      for i = 1, 3 do pcall(db.raw, [==[${sql}]==]) end
      pcall(db.raw, "INSERT INTO kept VALUES (1)")
      return "went on"`;
    const outcome = await pool.query(code, { limits });
    const message = `db.raw query failed: ${text}`;
    expect(outcome).toMatchObject({
      kind: "error",
      error: { type: "runtime", message, limit },
      used,
    });
    expect(outcome.used[limit]).toBeGreaterThanOrEqual(limits[limit as keyof typeof limits]);
    // What it did is undone, and it holds no lock.
    await pool.database.run("INSERT INTO kept VALUES (0)");
    await pool.database.run("DELETE FROM kept WHERE n = 0");
    expect(await count()).toBe(0);
    expect(await pool.evaluate(`return ${raw("SELECT 1 AS n")}[1].n`)).toBe("1");
  });

  const short = `${numbers(30_000)} SELECT count(*) AS n FROM c`;

  it("counts the time of all calls of a query", async () => {
    const limits = { rawMilliseconds: 400 };
    const outcome = await pool.query(`for i = 1, 1e6 do ${raw(short)} end`, { limits });
    expect(outcome).toMatchObject({
      kind: "error",
      error: { message: "db.raw query failed: it took longer than 0.4 s", limit: "rawMilliseconds" },
      used: { rawRows: 1, rawBytes: 11 },
    });
  });

  it("gives each call of a job the whole time", async () => {
    const body = `function handle()
      local clock = os.time()
      while os.time() - clock < 2 do ${raw(short)} end
      return "done"
    end`;
    const outcome = await pool.pool.run({
      kind: "job",
      script: { trigger: "job.run:x", body },
      env: {},
      limits: { rawMilliseconds: 600 },
      job: { id: "1", input: "{}", createdBy: "did:plc:x" },
    });
    expect(outcome).toMatchObject({ kind: "value", json: '"done"' });
    expect(outcome.used.rawMilliseconds).toBeLessThanOrEqual(600);
  });

  it("is nothing that the modules of version 3 use for their records", async () => {
    const row = "'at://a/b/c', 'a', 'b', 'c', '{\"n\":[]}', '', '2026', '2026'";
    await pool.database.run(
      `INSERT INTO happyview_records (uri, did, collection, rkey, record, cid, indexed_at, created_at) VALUES (${row})`,
    );
    const code = "return require('happyview.db').records('b'):run().records";
    const outcome = await pool.query(code, { limits: { rawRows: 0 } });
    const record = {
      uri: "at://a/b/c",
      did: "a",
      collection: "b",
      rkey: "c",
      indexed_at: "2026",
      record: { n: [] },
    };
    expect(outcome).toMatchObject({ kind: "value", used: { rawMilliseconds: 0 } });
    expect(outcome.kind === "value" && JSON.parse(outcome.json)).toEqual([record]);
  });

  it("leaves other scripts of the thread alone", async () => {
    const limits = { rawMilliseconds: 700 };
    const busy =
      "local t = os.time() while os.time() - t < 2 do for i = 1, 1000 do string.rep('x', 10000) end end return 1";
    const both = await Promise.all([
      pool.query(`return ${raw(endless)}`, { limits }),
      pool.query(`${raw("SELECT 1")} for i = 1, 20 do ${raw(short)} end return 1`, {
        limits: { rawMilliseconds: 10_000 },
      }),
      pool.query(busy),
    ]);
    expect(both).toMatchObject([{ kind: "error" }, { json: "1" }, { json: "1" }]);
  });
});
