import { describe, expect, onTestFinished, test } from "vitest";
import { connect, type Database } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { createClock } from "../../../core/clock.ts";
import { createJobs } from "../../../plugins/backfill/jobs.ts";
import { migrations } from "../../../plugins/backfill/migrations.ts";
import { createUnits } from "../../../plugins/backfill/units.ts";
import { databases } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";
import { status } from "./_shared.ts";

const clock = createClock();

describe.each(databases())("a job on $name", (subject) => {
  async function openDatabase(): Promise<Database> {
    const { url, drop } = await subject.open();
    onTestFinished(drop);
    const db = await connect({ url, maxConnections: 2 });
    onTestFinished(() => db.close());
    await migrate(db, [{ name: "backfill", migrations }], silent);
    return db;
  }

  test("whose failed repos cannot be queued once more stays completed, and they stay failed", async () => {
    const db = await openDatabase();
    const jobs = createJobs({ db, clock });
    const { id } = await jobs.create({ collection: status });
    await jobs.complete(id, "for a test");
    const units = createUnits(db, 1000);
    await db.transaction((tx) => units.add(tx, id, status, ["did:plc:a"]));
    await db.run("UPDATE happyview_backfill_repos SET status = 'failed'");
    const retry = jobs.act(id, "retry-failed", async (tx) => {
      expect(await units.retryFailed(tx, id)).toBe(1);
      throw new Error("the process ends");
    });
    await expect(retry).rejects.toThrow("the process ends");
    expect(await jobs.get(id)).toMatchObject({ status: "completed", error: "for a test" });
    expect(await db.all("SELECT status FROM happyview_backfill_repos")).toEqual([{ status: "failed" }]);
  });

  test("that is resumed in the moment of its rest is told as paused", async () => {
    const db = await openDatabase();
    const jobs = createJobs({ db, clock });
    const { id } = await jobs.create({ collection: status });
    await jobs.act(id, "pause");

    let resumed: unknown;
    const hasty: Database = Object.assign(Object.create(db) as Database, {
      async transaction(work: Parameters<Database["transaction"]>[0]) {
        const result = await db.transaction(work);
        resumed ??= await jobs.act(id, "resume");
        return result;
      },
    });
    expect(await createJobs({ db: hasty, clock }).rest(id)).toMatchObject({ status: "paused" });
    expect(resumed).toMatchObject({ status: "running" });
    expect(await jobs.get(id)).toMatchObject({ status: "running" });
  });
});
