import { describe, expect, test } from "vitest";
import { connect } from "../../../core/db/database.ts";
import { createGate } from "../../../core/db/gate.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";

describe("a gate", () => {
  const slow = 60_000;

  test("lets so many run at once, and the next one when one is through", async () => {
    const gate = createGate(3, slow);
    let [running, most] = [0, 0];
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        gate(async () => {
          most = Math.max(most, ++running);
          order.push(i);
          for (let turns = 1 + (i % 3); turns > 0; turns--) await new Promise((go) => setImmediate(go));
          running -= 1;
        }),
      ),
    );
    expect(most).toBe(3);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  test("gives the place of one that fails to the next", async () => {
    const gate = createGate(1, slow);
    const fails = gate(() => Promise.reject(new Error("no")));
    const next = gate(() => Promise.resolve("yes"));
    await expect(fails).rejects.toThrow("no");
    expect(await next).toBe("yes");
  });

  test("does not wait for what takes long, and counts it no more when it ends", async () => {
    const gate = createGate(1, 5);
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const long = gate(() => held);
    expect(await gate(() => Promise.resolve("past it"))).toBe("past it");
    release();
    await long;
    let [running, most] = [0, 0];
    const short = (): Promise<void> =>
      gate(async () => {
        most = Math.max(most, ++running);
        await Promise.resolve();
        running -= 1;
      });
    await Promise.all([short(), short(), short()]);
    expect(most).toBe(1);
  });
});

describe.each(databases().filter(({ name }) => name === "postgres"))("statements on $name", (subject) => {
  test("leave a connection for a transaction", async () => {
    await using place = await opened(subject, 9);
    const { db } = place;
    await Promise.all(Array.from({ length: 9 }, () => db.transaction((tx) => tx.get("SELECT 1")))); // all connected
    const ended: string[] = [];
    const statements = Array.from({ length: 60 }, () =>
      db.get("SELECT pg_sleep(0.02)").then(() => ended.push("statement")),
    );
    await new Promise((resolve) => setImmediate(resolve)); // until all of them are asked
    await db.transaction((tx) => tx.get("SELECT 1")).then(() => ended.push("transaction"));
    await Promise.all(statements);
    expect(ended.indexOf("transaction")).toBeLessThan(25);
  });

  test("pass by those that take long", async () => {
    await using place = await opened(subject, 32);
    const { db } = place;
    let isOver = false;
    const long = Promise.all(Array.from({ length: 12 }, () => db.get("SELECT pg_sleep(2)"))).then(
      () => (isOver = true),
    );
    expect(await db.get("SELECT 1 AS one")).toEqual({ one: 1 });
    expect(isOver).toBe(false);
    await long;
  });
});

async function opened(subject: DatabaseSubject, maxConnections: number) {
  const place = await subject.open();
  const db = await connect({ url: place.url, maxConnections });
  return {
    db,
    async [Symbol.asyncDispose]() {
      await db.close();
      await place.drop();
    },
  };
}
