import { expect, onTestFinished, test } from "vitest";
import type { ScriptOutcome } from "../../../../plugins/lua-scripts/engine/engine.ts";
import { openTestPool, type TestPool } from "./_pool.ts";

const busy = "local s = 0 for i = 1, 2e6 do s = s + i end return record";

const arrival = ({ pool }: TestPool, did: string): Promise<ScriptOutcome> =>
  pool.run({
    kind: "record",
    script: { trigger: "record.index:a.b.c", body: `function handle() ${busy} end` },
    env: {},
    event: {
      action: "create",
      uri: `at://${did}/a.b.c/1`,
      did,
      collection: "a.b.c",
      rkey: "1",
      record: "{}",
    },
  });

async function open(workers: number, isSpread = false): Promise<TestPool> {
  const pool = await openTestPool({ workers, isSpread });
  onTestFinished(pool.close);
  return pool;
}

test("a stream of records lets queries take turns, and no repo waits for the others' next ones", async () => {
  const pool = await open(1);
  const ran = new Map<string, number>();
  let isOver = false;
  // As the record pipeline does: each repo's next event comes when the one before is done.
  const repos = Array.from({ length: 40 }, async (_, i) => {
    const did = `did:plc:${i}`;
    while (!isOver) {
      await arrival(pool, did);
      ran.set(did, (ran.get(did) ?? 0) + 1);
    }
  });
  for (let i = 0; i < 12; i++) await pool.evaluate("return 1");
  while (ran.size < 40) await Promise.race(repos.map(() => pool.evaluate("return 2")));
  isOver = true;
  await Promise.all(repos);
  const counts = [...ran.values()];
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
});

test("runs of any length have threads of their own while there are some", async () => {
  const pool = await open(2, true);
  const waiting = Promise.withResolvers<number>();
  const begun = Promise.withResolvers<void>();
  const job = (code: string, signal?: AbortSignal): Promise<ScriptOutcome> =>
    pool.pool.run(
      {
        kind: "job",
        script: { trigger: "job.run:a", body: `function handle(input, ctx) ${code} end` },
        env: {},
        job: { id: "1", input: "{}", createdBy: "did:plc:a" },
      },
      {
        ...(signal ? { signal } : {}),
        host: {
          "job.wait": async () => {
            begun.resolve();
            return waiting.promise;
          },
        },
      },
    );
  const first = job("job.wait(1) return 'waited'");
  await begun.promise;
  const endless = new AbortController();
  const second = job("while true do end", endless.signal).catch((error: unknown) => error);
  waiting.resolve(1);
  expect(await first).toMatchObject({ kind: "value", json: '"waited"' });
  endless.abort(new Error("no more"));
  expect(await second).toBeInstanceOf(Error);
});
