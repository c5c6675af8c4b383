import { describe, expect, it } from "vitest";
import { createClock } from "../../../core/clock.ts";
import type { Database, Transaction } from "../../../core/db/database.ts";
import { connect } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { coreMigrations } from "../../../core/db/migrations.ts";
import { migrations } from "../../../plugins/labelers/migrations.ts";
import { createSubscriptions } from "../../../plugins/labelers/subscriptions.ts";
import { createWriter, NotSubscribed } from "../../../plugins/labelers/write.ts";
import { failing } from "../../fakes/failing-database.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";

const did = "did:plc:labeler";
const labels = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    src: did,
    uri: `at://did:plc:author/org.example.post/${i}`,
    val: "v",
    neg: false,
    cts: "2026-01-01T00:00:00Z",
  }));

async function prepare(subject: DatabaseSubject, wrap: (db: Database) => Database = (db) => db) {
  const { url, drop } = await subject.open();
  const db = await connect({ url, maxConnections: 4 });
  const clock = createClock();
  await migrate(
    db,
    [
      { name: "core", migrations: coreMigrations },
      { name: "labelers", migrations },
    ],
    silent,
  );
  const subscriptions = await createSubscriptions({ db, clock }, 10);
  await subscriptions.add(did, { origin: "admin" });
  const refused: string[] = [];
  const write = createWriter({
    app: { db: wrap(db), clock, log: silent },
    subscriptions,
    status: { counted: () => {}, refused: (_, reason) => void refused.push(reason) },
  });
  return {
    write,
    subscriptions,
    refused,
    count: async () => (await db.get<{ n: number }>("SELECT count(*) AS n FROM happyview_labels"))?.n,
    cursor: async () => (await subscriptions.get(did))?.cursor,
    async [Symbol.asyncDispose]() {
      await db.close();
      await drop();
    },
  };
}

describe.each(databases())("writing labels on $name", (subject) => {
  const never = new AbortController().signal;

  it("moves the cursor with the last labels of a message, and not before", async () => {
    const stopping = new AbortController();
    await using bench = await prepare(subject, (db) => ({
      ...db,
      async transaction(work) {
        const result = await db.transaction(work);
        stopping.abort(new Error("stopped in between"));
        return result;
      },
    }));
    const message = labels(1200);
    const reached = { seq: 7, hasGap: false };
    await expect(bench.write(did, message, reached, stopping.signal)).rejects.toThrow("stopped in between");
    expect([await bench.count(), await bench.cursor()]).toEqual([500, null]);
    await bench.write(did, message, reached, never);
    expect([await bench.count(), await bench.cursor()]).toEqual([1200, 7]);
    await bench.write(did, [], { seq: 3, hasGap: false }, never);
    expect(await bench.cursor()).toBe(7);
  });

  it("waits for a database that is away", async () => {
    await using bench = await prepare(subject, (db) => failing(db, 2).db);
    await bench.write(did, labels(3), { seq: 1, hasGap: false }, never);
    expect([await bench.count(), await bench.cursor()]).toEqual([3, 1]);
  });

  it("leaves out the one label that the database refuses", async () => {
    const poisoned = (tx: Transaction): Transaction => ({
      ...tx,
      async insertMany(insert, rows) {
        if (rows.some((row) => row.includes("at://did:plc:author/org.example.post/5")))
          throw new Error("a value that no table takes");
        return tx.insertMany(insert, rows);
      },
    });
    await using bench = await prepare(subject, (db) => ({
      ...db,
      transaction: (work) => db.transaction((tx) => work(poisoned(tx))),
    }));
    await bench.write(did, labels(10), { seq: 1, hasGap: false }, never);
    expect([await bench.count(), await bench.cursor()]).toEqual([9, 1]);
    expect(bench.refused).toEqual(["the database refuses it: a value that no table takes"]);
  });

  it("stores nothing for who is not subscribed to", async () => {
    await using bench = await prepare(subject);
    await bench.subscriptions.setStatus(did, "paused");
    const write = (): Promise<void> => bench.write(did, labels(1), { seq: 1, hasGap: false }, never);
    await expect(write()).rejects.toThrow(NotSubscribed);
    await bench.subscriptions.remove(did);
    await expect(write()).rejects.toThrow(NotSubscribed);
    expect(await bench.count()).toBe(0);
  });
});
