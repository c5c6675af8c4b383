import { expect, it } from "vitest";
import { databases } from "../../../setup/databases.ts";
import type { ScriptRun } from "../../../../plugins/lua-scripts/engine/script-run.ts";
import { openTestPool } from "../engine/_pool.ts";

const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
/** A pattern that no limit inside the thread stops. */
const hang = "string.find(('a'):rep(60000) .. 'b', ('.-'):rep(12) .. 'c')";

const query = { method: "a.b", params: {}, collection: "" };
const kinds = {
  procedure: { kind: "procedure", procedure: { ...query, input: "{}" } },
  job: { kind: "job", job: { id: "1", input: "{}", createdBy: "did:plc:x" } },
} as const;

const cases = databases().flatMap(({ name, open }) =>
  (["procedure", "job"] as const).map((kind) => ({ name, open, kind })),
);

it.each(cases)(
  "a $kind that used db.raw on $name does not begin again when its thread ends",
  async (given) => {
    const database = await given.open();
    const pool = await openTestPool({ workers: 1 }, database.url);
    await pool.database.run("CREATE TABLE hits (n INTEGER)");
    const hits = (): Promise<unknown[]> => pool.database.all("SELECT n FROM hits");
    const body = `function handle() db.raw("INSERT INTO hits VALUES (1)") return db.raw("${endless}") end`;
    const run: ScriptRun = {
      ...kinds[given.kind],
      script: { trigger: "a", body },
      env: {},
      limits: { rawMilliseconds: 3000 },
    };
    const settled = Promise.allSettled([pool.pool.run(run)]);
    await expect.poll(hits, { timeout: 10_000 }).toHaveLength(1);
    await pool.query(hang, { limits: { milliseconds: 100 } });
    expect(await settled).toMatchObject([
      { status: "rejected", reason: { message: /its script did not stop/ } },
    ]);
    expect(await hits()).toHaveLength(1);
    await pool.close();
    await database.drop();
  },
);
