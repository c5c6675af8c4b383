import { describe, expect, onTestFinished, test } from "vitest";
import { connect, type Database } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { createClock } from "../../../core/clock.ts";
import { createJobs } from "../../../plugins/backfill/jobs.ts";
import { migrations } from "../../../plugins/backfill/migrations.ts";
import { databases } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";
import { status } from "./_shared.ts";

describe.each(databases())("a job on $name", (subject) => {
  test("that is resumed in the moment of its rest is told as paused", async () => {
    const { url, drop } = await subject.open();
    onTestFinished(drop);
    const db = await connect({ url, maxConnections: 2 });
    onTestFinished(() => db.close());
    await migrate(db, [{ name: "backfill", migrations }], silent);
    const clock = createClock();
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
