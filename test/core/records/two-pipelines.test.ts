import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { connect, type Database, type Transaction } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { coreMigrations } from "../../../core/db/migrations.ts";
import type { CommitEvent } from "../../../core/records/change.ts";
import { computeCid } from "../../../core/records/verify.ts";
import { createPrng, type Prng } from "../../../playground/network/prng.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";
import { alice, bob, collection, createBench, rev } from "./_pipeline.ts";

/** Connections as two processes have them: of one database, nothing else in common. */
async function connections(subject: DatabaseSubject): Promise<[Database, Database]> {
  const { url, drop } = await subject.open();
  onTestFinished(drop);
  const open = async (): Promise<Database> => {
    const db = await connect({ url, maxConnections: 4 });
    onTestFinished(() => db.close());
    return db;
  };
  const first = await open();
  await migrate(first, [{ name: "core", migrations: coreMigrations }], silent);
  return [first, await open()];
}

function event(n: number, rkey: string, overrides: Partial<CommitEvent> = {}): CommitEvent {
  const record = { text: `v${n}` };
  const content = { record, cid: computeCid(record) ?? "" };
  return {
    kind: "commit",
    action: "create",
    did: alice,
    collection,
    rkey,
    rev: rev(n),
    ...content,
    ...overrides,
  };
}

const textsOf = async (db: Database): Promise<Record<string, string>> => {
  const rows = await db.all<{ uri: string; record: string }>(
    "SELECT uri, record FROM happyview_records ORDER BY uri",
  );
  return Object.fromEntries(
    rows.map(({ uri, record }) => [uri, (JSON.parse(record) as { text: string }).text]),
  );
};

describe.each(databases())("events that belong together on $name", (subject) => {
  test("are durable when they are taken in, and counted by what became of them", async () => {
    const [db, other] = await connections(subject);
    const { pipeline } = createBench(db);
    pipeline.intercept({
      wants: (action) => action === "create",
      handle: async ({ rkey, skip }) => void (rkey === "left-out" && skip("for this test")),
    });
    const intake = await pipeline.ingestMany([
      event(1, "one"),
      event(2, "two", { did: bob }),
      event(3, "gone", { action: "delete", cid: "", record: undefined }),
      { kind: "account", did: bob, active: true, rev: rev(4) },
      { kind: "identity", did: bob },
      event(5, "left-out"),
      event(6, "untracked", { collection: "com.example.other" }),
      event(7, "not a key"),
      event(8, "liar", { cid: computeCid({ text: "another" }) ?? "" }),
      event(9, "empty", { record: undefined }),
    ]);
    expect(intake).toEqual({ stored: 5, skipped: 2, rejected: 3 });
    expect(Object.values(await textsOf(other)).toSorted()).toEqual(["v1", "v2"]);
    expect(await pipeline.ingestMany([])).toEqual({ stored: 0, skipped: 0, rejected: 0 });
    expect(pipeline.pending()).toBe(0);
    await pipeline.close();
  });

  test("count as stored where something newer is there already", async () => {
    const [db] = await connections(subject);
    const { pipeline } = createBench(db);
    await pipeline.ingestMany([event(5, "one")]);
    expect(await pipeline.ingestMany([event(4, "one"), event(5, "one")])).toEqual({
      stored: 2,
      skipped: 0,
      rejected: 0,
    });
    expect(Object.values(await textsOf(db))).toEqual(["v5"]);
    await pipeline.close();
  });

  test("that the database refuses are rejected, and keep no others from being stored", async () => {
    const [db] = await connections(subject);
    const { pipeline } = createBench({
      ...db,
      transaction: (work) =>
        db.transaction((tx) =>
          work({
            ...tx,
            async insertMany(insert, rows) {
              if (rows.some((row) => String(row[0]).endsWith("/bad"))) throw new Error("no such thing");
              await tx.insertMany(insert, rows);
            },
          }),
        ),
    });
    expect(await pipeline.ingestMany([event(1, "one"), event(2, "bad"), event(3, "two")])).toEqual({
      stored: 2,
      skipped: 0,
      rejected: 1,
    });
    expect(Object.values(await textsOf(db)).toSorted()).toEqual(["v1", "v3"]);
    await pipeline.close();
  });

  test("wait while many others are not durable yet", async () => {
    const [db] = await connections(subject);
    const { pipeline } = createBench(db, { maxPending: 10, maxIntercepts: 100 });
    const gate = Promise.withResolvers<void>();
    let most = 0;
    let held = 0;
    pipeline.intercept({
      wants: () => true,
      async handle() {
        most = Math.max(most, pipeline.pending());
        held += 1;
        await gate.promise;
      },
    });
    const dids = Array.from(
      { length: 60 },
      (_, i) => `did:plc:${"abcdefgh"[i % 8]}${"x".repeat(21)}${String(i).padStart(2, "2")}`,
    );
    const taking = pipeline.ingestMany(dids.map((did, i) => event(i, "one", { did })));
    while (held < 10) await new Promise((go) => setImmediate(go));
    for (let turn = 0; turn < 20; turn++) await new Promise((go) => setImmediate(go));
    expect(pipeline.pending()).toBe(10);
    gate.resolve();
    expect(await taking).toEqual({ stored: 60, skipped: 0, rejected: 0 });
    expect(most).toBe(10);
    await pipeline.close();
  });

  test("are not waited for when the server stops", async () => {
    const [db] = await connections(subject);
    const { pipeline } = createBench(db, { maxPending: 2 });
    let waiting = 0;
    pipeline.intercept({
      wants: () => true,
      handle: (_, signal) =>
        new Promise((_, reject) => {
          waiting += 1;
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        }),
    });
    const some = pipeline.ingestMany([event(1, "one")]);
    const more = pipeline.ingestMany([event(2, "two", { did: bob }), event(3, "three"), event(4, "four")]);
    const outcomes = Promise.allSettled([some, more]);
    while (waiting < 2) await new Promise((go) => setImmediate(go));
    pipeline.stop();
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: "rejected", reason: new Error("the server is stopping") });
    await expect(pipeline.ingestMany([event(5, "five")])).rejects.toThrow("the server is stopping");
    await pipeline.close();
    expect(await textsOf(db)).toEqual({});
  });
});

describe.each(databases())("two pipelines on one database, $name", (subject) => {
  test.each([1, 2, 3])(
    "end with the newest version of each record, whoever brings it (seed %i)",
    async (seed) => {
      const pair = await connections(subject);
      const pipelines = pair.map((db) => createBench(slowToRead(db), { maxBatch: 7 }).pipeline);
      const prng = createPrng(`${seed}/two-pipelines`);
      // Four versions of each record, in any order and at about the same time, by either or by both.
      const shares: [CommitEvent[], CommitEvent[]] = [[], []];
      const expected = new Map<string, CommitEvent>();
      for (let key = 0; key < 60; key++) {
        const did = key % 2 === 0 ? alice : bob;
        const versions = Array.from({ length: 4 }, (_, n) => {
          const gone = { action: "delete", cid: "", record: undefined } as const;
          return event(n, `k${key}`, { did, ...(prng.chance(0.15) ? gone : {}) });
        });
        expected.set(`at://${did}/${collection}/k${key}`, versions[3] as CommitEvent); // of four
        const order = shuffled(prng, versions);
        for (const [i, version] of order.entries()) {
          shares[i < 2 ? 0 : 1].push(version);
          if (prng.chance(0.2)) shares[i < 2 ? 1 : 0].push(version);
        }
      }
      await Promise.all(
        pipelines.map(async (pipeline, i) => {
          const share = shares[i] ?? [];
          for (let at = 0; at < share.length; at += 25) await pipeline.ingestMany(share.slice(at, at + 25));
        }),
      );
      const alive = [...expected].filter(([, { action }]) => action !== "delete");
      expect(await textsOf(pair[0])).toEqual(
        Object.fromEntries(alive.map(([uri, { record }]) => [uri, record?.["text"]])),
      );
      for (const pipeline of pipelines) await pipeline.close();
    },
  );
});

describe("the locks of a transaction on Postgres", () => {
  const [, postgres] = databases() as [DatabaseSubject, DatabaseSubject];

  /** A transaction that holds locks until it is told to end. */
  function hold(db: Database, keys: readonly string[]) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const over = db.transaction(async (tx) => {
      await tx.lock(keys);
      held.resolve();
      await promise;
    });
    return { held: held.promise, end: resolve, fail: reject, over };
  }

  /** Whether somebody waits for a lock of ours. */
  const waits = async (db: Database): Promise<boolean> =>
    (await db.get(
      `SELECT 1 AS one FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
       WHERE l.locktype = 'advisory' AND NOT l.granted AND a.datname = current_database()`,
    )) !== undefined;

  test.each(["commits", "fails"])(
    "keep out another with one of the same keys until the first %s",
    async (way) => {
      const [here, there] = await connections(postgres);
      const first = hold(here, [alice, bob]);
      await first.held;
      const second = hold(there, ["did:plc:somebody", bob]);
      let isHeld = false;
      void second.held.then(() => (isHeld = true));
      while (!(await waits(here))) expect(isHeld).toBe(false);
      if (way === "commits") first.end();
      else first.fail(new Error("this one fails"));
      if (way === "commits") await first.over;
      else await expect(first.over).rejects.toThrow("this one fails");
      await second.held;
      second.end();
      await second.over;
    },
  );

  test("let others pass", async () => {
    const [here, there] = await connections(postgres);
    const first = hold(here, [alice]);
    await first.held;
    const second = hold(there, [bob]);
    await second.held;
    const none = hold(there, []);
    await none.held;
    for (const one of [first, second, none]) {
      one.end();
      await one.over;
    }
  });

  test("are taken in one order, so that nobody waits for each other", async () => {
    const [here, there] = await connections(postgres);
    const keys = Array.from({ length: 500 }, (_, i) => `did:plc:${i}`);
    const tally = { here: 0, there: 0 };
    const work = async (db: Database, order: readonly string[], name: "here" | "there"): Promise<void> => {
      for (let i = 0; i < 40; i++)
        await db.transaction(async (tx) => {
          await tx.lock(order.slice(i, i + 60));
          await tx.lock([]);
          tally[name] += 1;
        });
    };
    await Promise.all([work(here, keys, "here"), work(there, keys.toReversed(), "there")]);
    expect(tally).toEqual({ here: 40, there: 40 });
  });
});

/** Some time passes between what a transaction reads and what it writes. */
function slowToRead(db: Database): Database {
  const slow = (tx: Transaction): Transaction => ({
    ...tx,
    async selectByKeys<T>(select: string, column: string, keys: readonly string[]) {
      const rows = await tx.selectByKeys<T>(select, column, keys);
      await sleep(2);
      return rows;
    },
  });
  return { ...db, transaction: (work) => db.transaction((tx) => work(slow(tx))) };
}

function shuffled<T>(prng: Prng, items: T[]): T[] {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = prng.int(i + 1);
    [mixed[i], mixed[j]] = [mixed[j] as T, mixed[i] as T]; // both are inside
  }
  return mixed;
}
