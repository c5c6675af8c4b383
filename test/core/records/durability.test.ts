import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import type { PipelineLimits } from "../../../core/records/pipeline.ts";
import { failing } from "../../fakes/failing-database.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { alice, bob, collection, commit, createBench, textsOf, turns, type Bench } from "./_pipeline.ts";

describe.each(databases())("durability on $name", (subject) => {
  let db: Database & AsyncDisposable;
  const benches: Bench[] = [];

  const start = (on: Database = db, limits?: PipelineLimits): Bench => {
    const bench = createBench(on, limits);
    benches.push(bench);
    return bench;
  };

  beforeEach(async () => {
    db = await migrated(subject);
  });
  afterEach(async () => {
    for (const { pipeline } of benches.splice(0)) await pipeline.close();
    await db[Symbol.asyncDispose]();
  });

  const at = (n: number, source = "jetstream"): { source: string; position: string } => ({
    source,
    position: String(n),
  });

  /** Holds every event with the text `held` until it is released. */
  const hold = ({ pipeline }: Bench, held: string): (() => void) => {
    const gate = Promise.withResolvers<void>();
    pipeline.intercept({
      wants: (_, nsid) => nsid === collection,
      handle: async (event) => {
        if (event.record?.["text"] === held) await gate.promise;
      },
    });
    return gate.resolve;
  };

  test("a position is unknown, then where the last event was", async () => {
    const { pipeline } = start();
    expect(await pipeline.position("jetstream")).toBeUndefined();
    void pipeline.ingest(commit("create", 1), at(1));
    void pipeline.ingest(commit("create", 2, { rkey: "two" }), at(2));
    void pipeline.ingest(commit("create", 3, { rkey: "three" }), at(9, "relay"));
    await pipeline.flush();
    expect(await pipeline.position("jetstream")).toBe("2");
    expect(await pipeline.position("relay")).toBe("9");
  });

  test("a position moves over what is not stored: skipped, untracked and malformed events", async () => {
    const { pipeline } = start();
    void pipeline.skip(at(1));
    void pipeline.ingest(commit("create", 1, { collection: "not.tracked.here" }), at(2));
    void pipeline.ingest(commit("create", 1, { did: "nobody" }), at(3));
    await pipeline.flush();
    expect(await pipeline.position("jetstream")).toBe("3");
    expect(pipeline.pending()).toBe(0);
  });

  test("a position never passes an event that is not durable", async () => {
    const bench = start();
    const release = hold(bench, "v2");
    const { pipeline } = bench;
    void pipeline.ingest(commit("create", 1), at(1));
    void pipeline.ingest(commit("create", 2, { did: bob, rkey: "held" }), at(2));
    for (let n = 3; n < 30; n++) void pipeline.ingest(commit("update", n, { rkey: `r${n}` }), at(n));
    await until(async () => (await textsOf(db))["r29"] === "v29");
    expect(await pipeline.position("jetstream")).toBe("1");
    release();
    await pipeline.flush();
    expect(await pipeline.position("jetstream")).toBe("29");
    expect((await textsOf(db))["held"]).toBe("v2");
  });

  test("position and records are in one transaction: neither is there without the other", async () => {
    const outage = failing(db, 1);
    const { pipeline } = start(outage.db);
    const broken = new Error("the connection was lost");
    const halfWay: Database = {
      ...db,
      transaction: (work) =>
        db.transaction(async (tx) => {
          await work(tx);
          throw broken;
        }),
      insertMany: () => Promise.reject(broken),
    };
    const lost = createBench(halfWay);
    void lost.pipeline.ingest(commit("create", 1), at(7));
    await until(async () => lost.log.some((line) => line["error"] === broken.message));
    await lost.pipeline.close().catch(() => {});
    expect(await textsOf(db)).toEqual({});
    expect(await pipeline.position("jetstream")).toBeUndefined();
  });

  test("a database that goes away and comes back loses nothing and repeats nothing", async () => {
    const outage = failing(db, 2);
    const bench = start(outage.db);
    void bench.pipeline.ingest(commit("create", 1), at(1));
    void bench.pipeline.ingest(commit("update", 2), at(2));
    await bench.pipeline.flush();
    expect(outage.refused).toBe(2);
    expect(await textsOf(db)).toEqual({ one: "v2" });
    expect(bench.applied).toHaveLength(2);
    expect(await bench.pipeline.position("jetstream")).toBe("2");
    expect(bench.log.filter((line) => line.message.includes("trying again"))).toHaveLength(2);
  });

  test("a database that is away does not let a record pass its interceptor", async () => {
    let away = 2;
    const silentTwice: Database = {
      ...db,
      selectByKeys: (...asked) =>
        away-- > 0 ? Promise.reject(new Error("the connection was lost")) : db.selectByKeys(...asked),
    };
    const { pipeline } = start(silentTwice);
    pipeline.intercept({
      wants: () => true,
      handle: async (event) => event.replace({ text: "checked" }),
    });
    void pipeline.ingest(commit("create", 1), at(1));
    await pipeline.flush();
    expect(await textsOf(db)).toEqual({ one: "checked" });
  });

  test("more events than there is room for: the source is told to wait, and when to go on", async () => {
    const bench = start(db, { maxPending: 10, maxBatch: 4 });
    const release = hold(bench, "v0");
    const { pipeline } = bench;
    const answers = Array.from({ length: 10 }, (_, n) =>
      pipeline.ingest(commit("create", n, { rkey: `r${n}` })),
    );
    expect(answers.slice(0, 9).every((answer) => answer === undefined)).toBe(true);
    let told = false;
    const wait = Promise.resolve(answers[9]).then(() => (told = true));
    await turns();
    expect(told).toBe(false);
    release();
    await wait;
    expect(pipeline.pending()).toBeLessThanOrEqual(5);
    await pipeline.flush();
    expect(Object.keys(await textsOf(db))).toHaveLength(10);
  });

  test("a source is told to wait, too, when few events take much memory", async () => {
    const { pipeline } = start();
    pipeline.intercept({ wants: () => true, handle: async (event) => event.skip("large") });
    const text = "x".repeat(8 * 1024 * 1024); // one string, whoever holds it
    const answers = Array.from({ length: 8 }, (_, n) =>
      pipeline.ingest({ ...commit("create", n, { rkey: `r${n}` }), record: { text }, cid: "" }),
    );
    expect(answers.slice(0, 7).every((answer) => answer === undefined)).toBe(true);
    expect(answers[7]).toBeInstanceOf(Promise);
    await answers[7];
    await pipeline.flush();
    expect(pipeline.ingest(commit("create", 9, { rkey: "small" }))).toBeUndefined();
  });

  test("a source that waits when told keeps the backlog within its bound", async () => {
    const { pipeline } = start(db, { maxPending: 50, maxBatch: 20 });
    let most = 0;
    for (let n = 0; n < 1000; n++) {
      const wait = pipeline.ingest(
        commit("update", n, { did: n % 2 ? alice : bob, rkey: `r${n % 40}` }),
        at(n),
      );
      most = Math.max(most, pipeline.pending());
      if (wait) await wait;
    }
    await pipeline.flush();
    expect(most).toBeLessThanOrEqual(50);
    expect(await pipeline.position("jetstream")).toBe("999");
  });

  test("close writes what is ready and saves the position", async () => {
    const { pipeline } = start();
    for (let n = 0; n < 1200; n++) void pipeline.ingest(commit("create", n, { rkey: `r${n}` }), at(n));
    await pipeline.close();
    expect(await db.get("SELECT count(*) AS n FROM happyview_records")).toEqual({ n: 1200 });
    expect(await pipeline.position("jetstream")).toBe("1199");
  });

  test("close while interceptors hang: their events are not done, and are read again", async () => {
    const bench = start();
    hold(bench, "v1");
    let aborted: boolean | undefined;
    bench.pipeline.intercept({
      wants: (_, nsid) => nsid === collection,
      handle: (_, signal) => {
        aborted = signal.aborted;
        signal.addEventListener("abort", () => (aborted = true));
        return new Promise(() => {});
      },
    });
    void bench.pipeline.ingest(
      commit("create", 1, { collection: "com.example.post", did: bob, rkey: "a" }),
      at(1),
    );
    void bench.pipeline.ingest(commit("create", 2), at(2));
    void bench.pipeline.ingest(
      commit("create", 3, { collection: "com.example.post", did: bob, rkey: "b" }),
      at(3),
    );
    await until(async () => aborted === false && (await textsOf(db))["b"] === "v3");
    await bench.pipeline.close();
    expect(aborted).toBe(true);
    expect(await bench.pipeline.position("jetstream")).toBe("1");

    const again = start();
    void again.pipeline.ingest(commit("create", 2), at(2));
    void again.pipeline.ingest(
      commit("create", 3, { collection: "com.example.post", did: bob, rkey: "b" }),
      at(3),
    );
    await again.pipeline.flush();
    expect(await textsOf(db)).toEqual({ a: "v1", one: "v2", b: "v3" });
    expect(await again.pipeline.position("jetstream")).toBe("3");
  });

  test("after stop nothing is taken in", async () => {
    const { pipeline } = start();
    void pipeline.ingest(commit("create", 1), at(1));
    pipeline.stop();
    void pipeline.ingest(commit("create", 2, { rkey: "late" }), at(2));
    await pipeline.close();
    expect(await textsOf(db)).toEqual({ one: "v1" });
    expect(await pipeline.position("jetstream")).toBe("1");
  });

  test("a stop while the database is away ends soon, says so, and leaves the position where it was", async () => {
    const outage = failing(db, Number.POSITIVE_INFINITY);
    const bench = createBench(outage.db);
    const unhandled = vi.fn<(reason: unknown) => void>();
    process.on("unhandledRejection", unhandled);
    void bench.pipeline.ingest(commit("create", 1), at(1));
    await until(async () => outage.refused >= 1);
    bench.pipeline.stop();
    await until(async () => outage.refused >= 3);
    await turns();
    await bench.pipeline.close();
    await turns();
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(bench.log.at(-1)).toMatchObject({ level: "error", error: "the connection was lost" });
    expect(await bench.pipeline.position("jetstream")).toBeUndefined();
  });
});

async function until(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await turns(1);
}
