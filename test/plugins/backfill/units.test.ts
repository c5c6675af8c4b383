import { describe, expect, onTestFinished, test } from "vitest";
import { connect, type Database } from "../../../core/db/database.ts";
import { migrate } from "../../../core/db/migrate.ts";
import { migrations } from "../../../plugins/backfill/migrations.ts";
import { createUnits } from "../../../plugins/backfill/units.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";
import { note, status } from "./_shared.ts";

const job = "job";
const dids = Array.from({ length: 60 }, (_, i) => `did:plc:${String(i).padStart(24, "a")}`);

async function openQueue(subject: DatabaseSubject): Promise<Database> {
  const { url, drop } = await subject.open();
  onTestFinished(drop);
  const db = await connect({ url, maxConnections: 8 });
  onTestFinished(() => db.close());
  await migrate(db, [{ name: "backfill", migrations }], silent);
  await db.run("INSERT INTO happyview_backfill_jobs (id, created_at) VALUES (?, '')", [job]);
  return db;
}

describe.each(databases())("the units of a job on $name", (subject) => {
  test("are taken by one each, and no more than were asked for", async () => {
    const db = await openQueue(subject);
    const units = createUnits(db, 60_000);
    await db.transaction((tx) => units.add(tx, job, status, dids));
    const taken = await Promise.all(["a", "b", "c", "d"].map((token) => units.claim(job, token, null, 11)));
    for (const claimed of taken) expect(claimed.length).toBeLessThanOrEqual(11);
    const all = taken.flat().map(({ did }) => did);
    expect(new Set(all).size).toBe(all.length);
    expect(await units.claim(job, "e", "https://a.test", 5)).toEqual([]);
    const rest = await units.claim(job, "e", null, 100);
    expect(rest).toHaveLength(60 - all.length);
    expect(await units.claim(job, "f", null, 100)).toEqual([]);
    expect(await units.left(job)).toBe(60);
  });

  test("learn of further collections, and are to be worked on again for them", async () => {
    const db = await openQueue(subject);
    const units = createUnits(db, 60_000);
    const add = (collection: string, ...some: (string | undefined)[]): Promise<void> =>
      db.transaction((tx) => units.add(tx, job, collection, some.map(String)));
    await add(status, dids[0], dids[1], dids[0]);
    await db.run("UPDATE happyview_backfill_repos SET status = 'completed' WHERE did = ?", [dids[0] ?? ""]);
    await add(note, dids[0], dids[2]);
    await add(note, dids[0]);
    await add(status, dids[1]);
    const claimed = await units.claim(job, "a", null, 10);
    expect(claimed.map(({ did, collections }) => [did, collections]).toSorted()).toEqual([
      [dids[0], [status, note]],
      [dids[1], [status]],
      [dids[2], [note]],
    ]);
  });

  test("come back when whoever holds them is gone, and not before", async () => {
    const db = await openQueue(subject);
    const [patient, gone] = [createUnits(db, 60_000), createUnits(db, -1)];
    await db.transaction((tx) => patient.add(tx, job, status, dids.slice(0, 4)));
    const [mine] = await patient.claim(job, "a", null, 1);
    const [theirs] = await gone.claim(job, "b", null, 1);
    await patient.release(job);
    const free = async (): Promise<string[]> =>
      (
        await db.all<{ did: string }>(
          "SELECT did FROM happyview_backfill_repos WHERE status = 'pending' ORDER BY did",
        )
      ).map(({ did }) => did);
    expect(await free()).toEqual(dids.slice(0, 4).filter((did) => did !== mine?.did));
    await patient.extend("a");
    await patient.release(job, "a");
    expect(await free()).toEqual(dids.slice(0, 4));
    expect(theirs?.did).not.toBe(mine?.did);
  });

  test("of a host that is down fail, those in hand excepted, and are queued once more when that is asked for", async () => {
    const db = await openQueue(subject);
    const units = createUnits(db, 60_000);
    await db.transaction((tx) => units.add(tx, job, status, dids.slice(0, 5)));
    const host = "https://a.test";
    await db.run("UPDATE happyview_backfill_repos SET pds_endpoint = ? WHERE did < ?", [host, dids[4] ?? ""]);
    await db.run(
      "UPDATE happyview_backfill_repos SET status = 'retrying', not_before = 9000000000000 WHERE did = ?",
      [dids[3] ?? ""],
    );
    expect(await units.waitingHosts(job)).toEqual([host]);
    const [held] = await units.claim(job, "a", host, 1);
    const told: string[] = [];
    const reason = { kind: "timeout", retryable: true, message: "too late" } as const;
    await units.failHost(job, host, reason, async (some) => void told.push(...some));
    expect(told.toSorted()).toEqual(dids.slice(0, 4).filter((did) => did !== held?.did));
    const rows = await db.all("SELECT did, status, error_kind FROM happyview_backfill_repos ORDER BY did");
    expect(rows).toEqual(
      dids.slice(0, 5).map((did, i) => ({
        did,
        status: did === held?.did ? "running" : i === 4 ? "pending" : "failed",
        error_kind: did === held?.did || i === 4 ? null : "timeout",
      })),
    );
    expect(await units.left(job)).toBe(2);
    expect(await units.waitingHosts(job)).toEqual([]);
    expect(await db.transaction((tx) => units.retryFailed(tx, job))).toBe(3);
    expect(await db.transaction((tx) => units.retryFailed(tx, job))).toBe(0);
    expect(await units.left(job)).toBe(5);
  });
});
