import { setImmediate as nextTurn } from "node:timers/promises";
import { eq } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connect, type BulkInsert, type Database } from "../../core/db/database.ts";
import { migrate, type Migration } from "../../core/db/migrate.ts";
import { defineSchema } from "../../core/db/schema.ts";
import { silent } from "../setup/log.ts";
import type { DatabaseSubject, TestDatabase } from "../setup/databases.ts";

const schema = defineSchema((t) => ({
  things: t.table("test_things", {
    id: t.text().primaryKey(),
    count: t.int(),
    ratio: t.real(),
    on: t.bool(),
    data: t.json<{ a: number[]; b: string | null }>(),
  }),
}));

const columns = 'id TEXT PRIMARY KEY, count BIGINT, ratio DOUBLE PRECISION, "on" INTEGER, data TEXT';
const things: Migration = {
  id: "0001_things",
  sqlite: `CREATE TABLE test_things (${columns});`,
  postgres: `CREATE TABLE test_things (${columns});`,
};
const owner = { name: "test", migrations: [things] };

const intoThings: BulkInsert = {
  table: "test_things",
  columns: { id: "text", count: "int" },
  onConflict: "(id) DO UPDATE SET count = excluded.count",
};

/** The whole contract of a database; whatever the dialect, callers may rely on exactly this. */
export function testDatabase(subject: DatabaseSubject): void {
  describe(`database on ${subject.name}`, () => {
    let place: TestDatabase;
    let db: Database;

    beforeEach(async () => {
      place = await subject.open();
      db = await connect({ url: place.url, maxConnections: 4 });
      await migrate(db, [owner], silent);
    });

    afterEach(async () => {
      await db.close();
      await place.drop();
    });

    describe("statements", () => {
      test("all and get return rows, run the number of rows changed", async () => {
        expect(
          await db.run("INSERT INTO test_things (id, count) VALUES (?, ?), (?, ?)", ["a", 1, "b", 2]),
        ).toBe(2);
        expect(await db.all("SELECT id, count FROM test_things ORDER BY id")).toEqual([
          { id: "a", count: 1 },
          { id: "b", count: 2 },
        ]);
        expect(await db.get("SELECT count FROM test_things WHERE id = ?", ["b"])).toEqual({ count: 2 });
        expect(await db.get("SELECT count FROM test_things WHERE id = ?", ["c"])).toBeUndefined();
        expect(await db.run("UPDATE test_things SET count = ?", [7])).toBe(2);
        expect(await db.run("DELETE FROM test_things WHERE id = ?", ["c"])).toBe(0);
      });

      test("a question mark in a literal or a name is no placeholder", async () => {
        const sql = `SELECT 'what?' AS "who?", 'it''s ?' AS quoted, CAST(? AS TEXT) AS given`;
        expect(await db.get(sql, ["me"])).toEqual({ "who?": "what?", quoted: "it's ?", given: "me" });
      });

      test("values come back as they went in", async () => {
        await db.run('INSERT INTO test_things (id, count, ratio, "on") VALUES (?, ?, ?, ?)', [
          "ü☂\u{1F680}'\"\\",
          Number.MAX_SAFE_INTEGER,
          -0.5,
          true,
        ]);
        await db.run("INSERT INTO test_things (id, count) VALUES (?, ?)", ["null", null]);
        expect(await db.all('SELECT id, count, ratio, "on" FROM test_things ORDER BY count')).toEqual(
          expect.arrayContaining([
            { id: "ü☂\u{1F680}'\"\\", count: Number.MAX_SAFE_INTEGER, ratio: -0.5, on: 1 },
            { id: "null", count: null, ratio: null, on: null },
          ]),
        );
      });

      test("a text with a NUL is taken, as anybody can send one", async () => {
        const nul = "a\u0000b";
        await db.run("INSERT INTO test_things (id) VALUES (?)", [nul]);
        await db.insertMany(intoThings, [[`many${nul}`, 1]]);
        await db.orm.insert(db.tables(schema).things).values({ id: `orm${nul}` });
        expect(await db.get("SELECT count(*) AS n FROM test_things WHERE id = ?", [nul])).toEqual({ n: 1 });
        expect(await db.selectByKeys("SELECT id FROM test_things", "id", [`many${nul}`])).toHaveLength(1);
        expect(await db.deleteByKeys("test_things", "id", [`orm${nul}`, nul])).toBe(2);
      });

      test("counts are numbers", async () => {
        expect(await db.get("SELECT count(*) AS n FROM test_things")).toEqual({ n: 0 });
      });

      test("a statement that is refused rejects and leaves the connection usable", async () => {
        await expect(db.all("SELECT nothing FROM nowhere")).rejects.toThrow(/nowhere|nothing/);
        await expect(db.run("INSERT INTO test_things (id) VALUES (?)", ["a"])).resolves.toBe(1);
      });

      test("isTransient tells what may succeed later from refused data", async () => {
        await db.run("INSERT INTO test_things (id) VALUES (?)", ["a"]);
        const duplicate = await failureOf(db.run("INSERT INTO test_things (id) VALUES (?)", ["a"]));
        expect(db.isTransient(duplicate)).toBe(false);
        expect(db.isTransient(await failureOf(db.all("SELECT FROM WHERE")))).toBe(false);
        expect(db.isTransient(Object.assign(new Error("lost"), { code: "ECONNRESET" }))).toBe(true);
        expect(db.isTransient(undefined)).toBe(false);
      });
    });

    describe("many rows", () => {
      const rows = Array.from({ length: 1200 }, (_, i) => [`k${i}`, i] as const);

      test("insertMany writes any number of rows, nulls included", async () => {
        await db.insertMany(intoThings, rows);
        await db.insertMany(intoThings, [["none", null]]);
        expect(
          await db.get("SELECT count(*) AS n, CAST(sum(count) AS BIGINT) AS sum FROM test_things"),
        ).toEqual({
          n: 1201,
          sum: (1199 * 1200) / 2,
        });
      });

      test("insertMany of no rows does nothing", async () => {
        await db.insertMany(intoThings, []);
        expect(await db.all("SELECT * FROM test_things")).toEqual([]);
      });

      test("insertMany follows its ON CONFLICT clause", async () => {
        await db.insertMany(intoThings, [["a", 1]]);
        await db.insertMany(intoThings, [
          ["a", 2],
          ["b", 3],
        ]);
        await db.insertMany({ ...intoThings, onConflict: "DO NOTHING" }, [
          ["a", 9],
          ["c", 4],
        ]);
        expect(await db.all("SELECT id, count FROM test_things ORDER BY id")).toEqual([
          { id: "a", count: 2 },
          { id: "b", count: 3 },
          { id: "c", count: 4 },
        ]);
      });

      test("insertMany without ON CONFLICT refuses a duplicate", async () => {
        const plain: BulkInsert = { table: "test_things", columns: { id: "text" } };
        await db.insertMany(plain, [["a"]]);
        expect(db.isTransient(await failureOf(db.insertMany(plain, [["a"]])))).toBe(false);
      });

      test("selectByKeys and deleteByKeys take any number of keys", async () => {
        await db.insertMany(intoThings, rows);
        const keys = rows.map(([id]) => id);
        const found = await db.selectByKeys<{ id: string }>("SELECT id FROM test_things", "id", [
          ...keys,
          "missing",
        ]);
        expect(new Set(found.map((row) => row.id))).toEqual(new Set(keys));
        expect(await db.selectByKeys("SELECT id FROM test_things", "id", [])).toEqual([]);
        expect(await db.deleteByKeys("test_things", "id", [...keys.slice(0, 1000), "missing"])).toBe(1000);
        expect(await db.deleteByKeys("test_things", "id", [])).toBe(0);
        expect(await db.get("SELECT count(*) AS n FROM test_things")).toEqual({ n: 200 });
      });
    });

    describe("transactions", () => {
      test("statements that are asked at once run in that order", async () => {
        const [, changed, row] = await db.transaction((tx) =>
          Promise.all([
            tx.insertMany(intoThings, [["a", 1]]),
            tx.run("UPDATE test_things SET count = 2 WHERE id = ?", ["a"]),
            tx.get("SELECT count FROM test_things WHERE id = ?", ["a"]),
            tx.deleteByKeys("test_things", "id", ["a"]),
          ]),
        );
        expect([changed, row]).toEqual([1, { count: 2 }]);
        expect(await db.all("SELECT id FROM test_things")).toEqual([]);
      });

      test("of statements that are asked at once, one that is refused takes all with it, and says why", async () => {
        const insert = "INSERT INTO test_things (id) VALUES (?)";
        const refused = db.transaction((tx) =>
          Promise.all(["a", "a", "b"].map((id) => tx.run(insert, [id]))),
        );
        await expect(refused).rejects.toMatchObject({ message: expect.stringMatching(/unique/i) });
        expect(await db.all("SELECT id FROM test_things")).toEqual([]);
        expect(await db.run(insert, ["a"])).toBe(1);
      });

      test("what is asked after the end of one is refused", async () => {
        const late = Promise.withResolvers<unknown>();
        const insert = "INSERT INTO test_things (id) VALUES (?)";
        const failing = db.transaction(async (tx) => {
          const writing = tx.get("SELECT 1").then(async () => {
            await new Promise((later) => setTimeout(later, 50));
            await tx.run(insert, ["late"]);
          });
          writing.catch(late.resolve);
          await Promise.all([tx.run("INSERT INTO test_nothing VALUES (1)"), writing]);
        });
        await expect(failing).rejects.toThrow(/test_nothing/);
        expect(await late.promise).toMatchObject({ message: "the transaction is over" });
        expect(await db.all("SELECT id FROM test_things")).toEqual([]);
      });

      test.runIf(subject.name === "sqlite")(
        "what is asked when SQLite has ended one is refused",
        async () => {
          await db.run("INSERT INTO test_things (id) VALUES (?)", ["a"]);
          const outcomes: PromiseSettledResult<unknown>[] = [];
          const failing = db.transaction(async (tx) => {
            const asked = [
              tx.run("INSERT INTO test_things (id) VALUES (?)", ["b"]),
              tx.run("INSERT OR ROLLBACK INTO test_things (id) VALUES (?)", ["a"]), // ends it, as a full disk does
              tx.run("INSERT INTO test_things (id) VALUES (?)", ["c"]),
            ];
            outcomes.push(...(await Promise.allSettled(asked)));
            await Promise.all(asked);
          });
          await expect(failing).rejects.toThrow(/UNIQUE/);
          expect(outcomes[2]).toMatchObject({ reason: { message: "SQLite has ended the transaction" } });
          expect(await db.all("SELECT id FROM test_things")).toEqual([{ id: "a" }]);
        },
      );

      describe.runIf(subject.name === "postgres")("whose connection is lost", () => {
        test("fails, and refuses what is asked then", async () => {
          const late = Promise.withResolvers<unknown>();
          const failing = db.transaction(async (tx) => {
            const row = await tx.get<{ pid: number }>("SELECT pg_backend_pid() AS pid");
            await db.run("SELECT pg_terminate_backend(?)", [row?.pid ?? 0]);
            await new Promise((later) => setTimeout(later, 200));
            await tx.run("INSERT INTO test_things (id) VALUES (?)", ["late"]).catch(late.resolve);
          });
          await expect(failing).rejects.toMatchObject({
            code: expect.stringMatching(/^(CONNECTION_CLOSED|57P01)$/),
          });
          expect(await late.promise).toMatchObject({ message: "the transaction is over" });
          expect(await db.all("SELECT id FROM test_things")).toEqual([]);
        });
      });

      test("a typed query does not wait for an open one, and sees what is committed", async () => {
        const begun = Promise.withResolvers<void>();
        const seen = Promise.withResolvers<void>();
        const open = db.transaction(async (tx) => {
          await tx.run("INSERT INTO test_things (id) VALUES (?)", ["a"]);
          begun.resolve();
          await seen.promise;
        });
        await begun.promise;
        expect(await db.orm.select().from(db.tables(schema).things)).toEqual([]);
        seen.resolve();
        await open;
        expect(await db.orm.select().from(db.tables(schema).things)).toHaveLength(1);
      });

      test("the event loop goes on while a batch is written", async () => {
        let isWritten = false;
        const rows = Array.from({ length: 20_000 }, (_, i) => [`${i}`, i]);
        const written = db
          .transaction((tx) => tx.insertMany(intoThings, rows))
          .finally(() => (isWritten = true));
        let turns = 0;
        for (; !isWritten; turns++) await nextTurn();
        await written;
        expect(turns).toBeGreaterThan(50);
      });

      test("commit what the work wrote and return its result", async () => {
        const result = await db.transaction(async (tx) => {
          await tx.run("INSERT INTO test_things (id) VALUES (?)", ["a"]);
          expect(await tx.get("SELECT id FROM test_things")).toEqual({ id: "a" });
          return "done";
        });
        expect(result).toBe("done");
        expect(await db.all("SELECT id FROM test_things")).toEqual([{ id: "a" }]);
      });

      test("roll everything back when the work throws", async () => {
        const failing = db.transaction(async (tx) => {
          await tx.insertMany(intoThings, [["a", 1]]);
          await tx.orm.insert(tx.tables(schema).things).values({ id: "b" });
          throw new Error("no");
        });
        await expect(failing).rejects.toThrow("no");
        expect(await db.all("SELECT id FROM test_things")).toEqual([]);
      });

      test("a write from outside is not rolled back with a transaction that was open meanwhile", async () => {
        const wrote = Promise.withResolvers<void>();
        const mayFail = Promise.withResolvers<void>();
        const failing = db.transaction(async (tx) => {
          await tx.run("INSERT INTO test_things (id) VALUES (?)", ["inside"]);
          wrote.resolve();
          await mayFail.promise;
          throw new Error("no");
        });
        await wrote.promise;
        const { things } = db.tables(schema);
        const outside = [
          db.run("INSERT INTO test_things (id) VALUES (?)", ["run"]),
          db.insertMany(intoThings, [["many", 1]]),
          db.orm
            .insert(things)
            .values({ id: "orm" })
            .then(() => undefined),
          db.transaction((tx) => tx.run("INSERT INTO test_things (id) VALUES (?)", ["transaction"])),
        ];
        mayFail.resolve();
        await expect(failing).rejects.toThrow("no");
        await Promise.all(outside);
        expect(await db.all("SELECT id FROM test_things ORDER BY id")).toEqual(
          ["many", "orm", "run", "transaction"].map((id) => ({ id })),
        );
      });

      test("readers outside see nothing of an open transaction, and do not wait for it", async () => {
        const wrote = Promise.withResolvers<void>();
        const mayEnd = Promise.withResolvers<void>();
        const open = db.transaction(async (tx) => {
          await tx.run("INSERT INTO test_things (id) VALUES (?)", ["a"]);
          wrote.resolve();
          await mayEnd.promise;
        });
        await wrote.promise;
        expect(await db.all("SELECT id FROM test_things")).toEqual([]);
        mayEnd.resolve();
        await open;
        expect(await db.all("SELECT id FROM test_things")).toEqual([{ id: "a" }]);
      });

      test("many at once all take effect", async () => {
        await db.run("INSERT INTO test_things (id, count) VALUES (?, ?)", ["n", 0]);
        await Promise.all(
          Array.from({ length: 40 }, () =>
            db.transaction((tx) => tx.run("UPDATE test_things SET count = count + 1 WHERE id = ?", ["n"])),
          ),
        );
        expect(await db.get("SELECT count FROM test_things")).toEqual({ count: 40 });
      });
    });

    describe("typed queries", () => {
      test("insert, select, update, delete, with booleans and JSON", async () => {
        const { things } = db.tables(schema);
        const row = { id: "a", count: 5, ratio: 0.25, on: true, data: { a: [1, 2], b: null } };
        await db.orm.insert(things).values(row);
        expect(await db.orm.select().from(things)).toEqual([row]);
        expect(await db.orm.select().from(things).where(eq(things.on, false))).toEqual([]);
        await db.orm
          .update(things)
          .set({ on: false, data: { a: [], b: "x" } })
          .where(eq(things.id, "a"));
        const [changed] = await db.orm.select().from(things).where(eq(things.on, false));
        expect(changed).toEqual({ ...row, on: false, data: { a: [], b: "x" } });
        await db.orm.delete(things).where(eq(things.id, "a"));
        expect(await db.orm.select().from(things)).toEqual([]);
      });

      test("upsert, and null for what is left out", async () => {
        const { things } = db.tables(schema);
        for (const count of [1, 2])
          await db.orm
            .insert(things)
            .values({ id: "a", count })
            .onConflictDoUpdate({ target: things.id, set: { count } });
        expect(await db.orm.select().from(things)).toEqual([
          { id: "a", count: 2, ratio: null, on: null, data: null },
        ]);
      });

      test("returning and get-like selects", async () => {
        const { things } = db.tables(schema);
        const made = await db.orm.insert(things).values({ id: "a", count: 1 }).returning();
        expect(made.map((row) => row.id)).toEqual(["a"]);
        const gone = await db.orm.delete(things).where(eq(things.id, "a")).returning({ id: things.id });
        expect(gone).toEqual([{ id: "a" }]);
      });

      test("tables of a schema are built once", () => {
        expect(db.tables(schema)).toBe(db.tables(schema));
      });
    });

    describe("migrations", () => {
      test("run once, however often the app starts", async () => {
        expect(await migrate(db, [owner], silent)).toBe(0);
      });

      test("of two owners with steps of one name do not meet", async () => {
        const step = (table: string): Migration => ({
          id: "0001_things",
          sqlite: `CREATE TABLE ${table} (id TEXT);`,
          postgres: `CREATE TABLE ${table} (id TEXT);`,
        });
        const other = { name: "other", migrations: [step("other_things")] };
        expect(await migrate(db, [owner, other], silent)).toBe(1);
        expect(await migrate(db, [other, owner], silent)).toBe(0);
        expect(await db.all("SELECT * FROM other_things")).toEqual([]);
      });

      test("of an owner that left the config stay, and come back without a step", async () => {
        expect(await migrate(db, [], silent)).toBe(0);
        expect(await migrate(db, [owner], silent)).toBe(0);
      });

      test("a later step is applied alone", async () => {
        const next = "ALTER TABLE test_things ADD COLUMN extra TEXT";
        const later = { name: "test", migrations: [things, { id: "0002_x", sqlite: next, postgres: next }] };
        expect(await migrate(db, [later], silent)).toBe(1);
        expect(await db.all("SELECT extra FROM test_things")).toEqual([]);
      });

      test("a step that fails is rolled back whole and says what was refused", async () => {
        const sql = "CREATE TABLE half_done (id TEXT);\nCREATE TABEL nonsense (id TEXT);\n";
        const broken = { name: "broken", migrations: [{ id: "0001_b", sqlite: sql, postgres: sql }] };
        await expect(migrate(db, [broken], silent)).rejects.toMatchObject({
          code: "MIGRATION_FAILED",
          message: expect.stringContaining("broken/0001_b"),
          cause: expect.objectContaining({ message: expect.stringMatching(/syntax error/) }),
        });
        await expect(db.all("SELECT * FROM half_done")).rejects.toThrow(/half_done/);
      });

      test("a database that a newer version migrated is refused", async () => {
        await db.run("INSERT INTO happyview_migrations (owner, id, applied_at) VALUES (?, ?, ?)", [
          "test",
          "0099_from_the_future",
          "2030-01-01",
        ]);
        await expect(migrate(db, [owner], silent)).rejects.toMatchObject({
          code: "DATABASE_NEWER",
          message: expect.stringContaining("0099_from_the_future"),
          hint: expect.stringContaining("DATABASE_URL"),
        });
      });

      // On SQLite one waits inside the driver for the other: within one process they would stop each other.
      test.runIf(subject.name === "postgres")("several processes may start on one database", async () => {
        const place = await subject.open();
        const dbs = await Promise.all([1, 2, 3].map(() => connect({ url: place.url, maxConnections: 2 })));
        const counts = await Promise.all(dbs.map((db) => migrate(db, [owner], silent)));
        for (const db of dbs) {
          expect(await db.all("SELECT * FROM test_things")).toEqual([]);
          await db.close();
        }
        expect(counts).toContain(1);
        await place.drop();
      });
    });

    test("its location holds no credentials", () => {
      expect(db.location).not.toMatch(/:\/\/[^/]*@/);
      expect(db.location).not.toBe("");
    });

    test("what was written is there after a reopen", async () => {
      await db.insertMany(intoThings, [["a", 1]]);
      await db.close();
      db = await connect({ url: place.url });
      expect(await db.all("SELECT id FROM test_things")).toEqual([{ id: "a" }]);
    });
  });
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
