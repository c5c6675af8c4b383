import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestPool, type TestPool } from "./_pool.ts";

let pool: TestPool;
const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const collection = "test.example.record";

beforeAll(async () => {
  pool = await openTestPool();
});
afterAll(() => pool.close());

describe("record runs", () => {
  test("a record in, a record out, with the log", async () => {
    const event = {
      action: "create",
      uri: `at://${did}/${collection}/1`,
      did,
      collection,
      rkey: "1",
      record: '{"title":"One"}',
    } as const;
    const body =
      "function handle() log('seen ' .. rkey) record.title = record.title:upper() return record end";
    const outcome = await pool.pool.run({
      kind: "record",
      script: { trigger: `record.index:${collection}`, body },
      env: {},
      event,
    });
    expect(outcome).toMatchObject({
      kind: "value",
      isTable: true,
      json: '{"title":"ONE"}',
      logs: [{ message: "seen 1" }],
    });
  });
});

describe("the queue", () => {
  const slow = "local s = 0 for i = 1, 1e6 do s = s + i end return 1";

  test("is bounded", async () => {
    const small = await openTestPool({ workers: 1, maxWaiting: 5 });
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => small.evaluate(slow)));
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused).toHaveLength(7);
    expect(String(refused[0]?.reason)).toContain("too many scripts are waiting");
    await small.close();
  });

  test("a run can be given up", async () => {
    const controller = new AbortController();
    const busy = Array.from({ length: 20 }, () => pool.evaluate(slow));
    const waiting = pool.evaluate(slow, { signal: controller.signal });
    controller.abort(new Error("the client went away"));
    await expect(waiting).rejects.toThrow("the client went away");
    await expect(pool.evaluate(slow, { signal: controller.signal })).rejects.toThrow("the client went away");
    expect(await Promise.all(busy)).toEqual(Array(20).fill("1"));
  });

  test("closing lets those finish that have begun and refuses the rest", async () => {
    const closing = await openTestPool({ workers: 1 });
    const first = closing.evaluate(slow);
    const rest = Array.from({ length: 20 }, () => closing.evaluate(slow));
    const settled = Promise.allSettled(rest);
    await closing.close();
    expect(await first).toBe("1");
    expect((await settled).at(-1)).toMatchObject({ status: "rejected" });
    await expect(closing.evaluate(slow)).rejects.toThrow("the script pool is closed");
  });
});

test("validation has its two messages", async () => {
  expect(await pool.pool.validate("x = 1")).toEqual({
    ok: false,
    message: "script must define a handle() function",
  });
  expect(await pool.pool.validate("local x = db.backend()\nfunction handle() end")).toMatchObject({
    ok: false,
    message: expect.stringMatching(/^script compilation failed: /),
  });
});
