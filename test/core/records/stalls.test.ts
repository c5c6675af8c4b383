import { afterEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { databases, migrated } from "../../setup/databases.ts";
import {
  account,
  alice,
  bob,
  commit,
  createBench,
  otherCollection,
  textsOf,
  type Bench,
} from "./_pipeline.ts";

// What one account or one listener does must not stop what all others do.
describe.each(databases())("nobody holds up the others on $name", (subject) => {
  const open: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const thing of open.splice(0).toReversed()) await thing[Symbol.asyncDispose]();
  });

  async function start(limits?: Parameters<typeof createBench>[1]): Promise<Bench & { db: Database }> {
    const db = await migrated(subject);
    const bench = createBench(db, limits);
    open.push(db, { [Symbol.asyncDispose]: () => bench.pipeline.close() });
    return { ...bench, db };
  }

  test("a repo whose events wait again and again does not use up the room of the others", async () => {
    const bench = await start({ maxPending: 50, maxLaneWaitMs: 300 });
    let waits = 0;
    bench.pipeline.intercept({
      wants: (_action, collection) => collection !== otherCollection,
      async handle(event) {
        waits += 1;
        await event.wait(150);
      },
    });
    for (let n = 0; n < 20; n++)
      void bench.pipeline.ingest(commit("create", n, { did: alice, rkey: `a${n}` }));
    for (let n = 0; n < 400; n++) {
      const wait = bench.pipeline.ingest(
        commit("create", n, { did: bob, collection: otherCollection, rkey: `b${n}` }),
      );
      if (wait) await wait;
    }
    await bench.pipeline.flush();
    expect(waits).toBe(20);
    expect(Object.keys(await textsOf(bench.db))).toHaveLength(420);
  });

  test("an interceptor that waits leaves its place to another", async () => {
    const bench = await start({ maxIntercepts: 1 });
    const order: string[] = [];
    bench.pipeline.intercept({
      wants: () => true,
      async handle(event) {
        if (event.did === alice) await event.wait(100);
        order.push(event.did);
      },
    });
    void bench.pipeline.ingest(commit("create", 1, { did: alice, rkey: "a" }));
    void bench.pipeline.ingest(commit("create", 2, { did: bob, rkey: "b" }));
    await bench.pipeline.flush();
    expect(order).toEqual([bob, alice]);
  });

  test.each([
    ["an array", [1, 2]],
    ["a number too big for JSON", { n: 1n }],
  ])("%s in the place of a record leaves the record as it was", async (_, body) => {
    const bench = await start();
    bench.pipeline.intercept({
      wants: () => true,
      handle: async (event) => event.replace(body as Record<string, unknown>),
    });
    void bench.pipeline.ingest(commit("create", 1, { rkey: "one" }));
    await bench.pipeline.flush();
    expect(await textsOf(bench.db)).toEqual({ one: "v1" });
    expect(bench.log.some((line) => line.message.includes("an interceptor failed"))).toBe(true);
  });

  test("a listener that throws does not keep others from hearing of accounts and identities", async () => {
    const bench = await start();
    const heard: string[] = [];
    bench.hooks.hook("record:after", () => {
      throw new Error("not today");
    });
    bench.hooks.hook("account:changed", () => void heard.push("account"));
    bench.hooks.hook("identity:changed", () => void heard.push("identity"));
    void bench.pipeline.ingest(commit("create", 1));
    void bench.pipeline.ingest(account(2, "deactivated"));
    void bench.pipeline.ingest({ kind: "identity", did: alice });
    await bench.pipeline.flush();
    expect(heard).toEqual(["account", "identity"]);
  });

  test("account events leave the same index in any order", async () => {
    const bench = await start();
    void bench.pipeline.ingest(commit("create", 1, { rkey: "one" }));
    void bench.pipeline.ingest(account(9, undefined));
    void bench.pipeline.ingest(account(5, "deactivated"));
    await bench.pipeline.flush();
    expect(await textsOf(bench.db)).toEqual({ one: "v1" });

    void bench.pipeline.ingest(account(7, "deleted"));
    void bench.pipeline.ingest(commit("create", 6, { rkey: "late" }));
    void bench.pipeline.ingest(commit("create", 8, { rkey: "after" }));
    await bench.pipeline.flush();
    expect(await textsOf(bench.db)).toEqual({ after: "v8" });
  });

  test("whoever reads the health check learns that nothing can be written", async () => {
    const db = await migrated(subject);
    open.push(db);
    const full = Object.assign(new Error("disk full"), {
      code: subject.name === "sqlite" ? "SQLITE_FULL" : "53100",
    });
    let isFull = true;
    const bench = createBench({
      ...db,
      transaction: (work) => (isFull ? Promise.reject(full) : db.transaction(work)),
    });
    void bench.pipeline.ingest(commit("create", 1));
    await expect.poll(() => bench.pipeline.health().ok).toBe(false);
    isFull = false;
    await bench.pipeline.flush();
    expect(bench.pipeline.health()).toEqual({ ok: true, detail: { pending: 0 } });
    await bench.pipeline.close();
  });
});
