import { describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import type { CommitEvent, RecordAction } from "../../../core/records/change.ts";
import { createPrng } from "../../../playground/network/prng.ts";
import { databases, migrated, type DatabaseSubject } from "../../setup/databases.ts";
import { alice, bob, commit, createBench } from "./_pipeline.ts";

/** Operations on few records: new, old and without a rev, deletions, and what a backfill reads. */
function operations(seed: number): CommitEvent[] {
  const prng = createPrng(`${seed}/batches`);
  const actions: RecordAction[] = ["create", "update", "delete"];
  return Array.from({ length: 700 }, (_, i) => {
    const n = Math.max(1, 1 + Math.floor(i / 3) - prng.int(3));
    return commit(actions[prng.int(3)] ?? "delete", n, {
      did: prng.chance(0.5) ? alice : bob,
      rkey: `r${prng.int(40)}`,
      text: `v${prng.int(5)}`,
      ...(prng.chance(0.3) ? { rev: "" } : {}),
      ...(prng.chance(0.2) ? { isSnapshot: true, action: "create" } : {}),
    });
  });
}

async function outcome(subject: DatabaseSubject, events: readonly CommitEvent[], maxBatch: number) {
  await using db = await migrated(subject);
  const { pipeline, applied } = createBench(db, { maxPending: 10_000, maxBatch });
  for (const event of events) void pipeline.ingest({ ...event }); // all in one turn of the event loop
  await pipeline.close();
  return { ...(await tables(db)), applied };
}

async function tables(db: Database) {
  const rows = (sql: string): Promise<unknown[]> => db.all(sql);
  return {
    records: await rows("SELECT uri, rev, record FROM happyview_records ORDER BY uri"),
    tombstones: await rows("SELECT uri, rev FROM happyview_record_tombstones ORDER BY uri"),
    refs: await rows(
      "SELECT source_uri, target_uri FROM happyview_record_refs ORDER BY source_uri, target_uri",
    ),
  };
}

describe.each(databases())("operations in one transaction on $name", (subject) => {
  test.each([1, 2, 3])("end as they do one by one (%i)", async (seed) => {
    const events = operations(seed);
    const expected = await outcome(subject, events, 1);
    expect(expected.tombstones.length).toBeGreaterThan(0);
    expect(await outcome(subject, events, 1000)).toEqual(expected);
  });
});
