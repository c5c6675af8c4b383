import { describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { createPlaces } from "../../../plugins/firehose/places.ts";
import { databases, migrated } from "../../setup/databases.ts";

const jetstream = (host: string) => ({
  position: `jetstream:${host}`,
  cursorAt: (us: number): string => String(us),
});
const relay = { position: "relay:r" };
const start = 1_700_000_000_000_000;

async function put(
  db: Database,
  source: string,
  position: string,
  time: number | null,
  epoch = 1,
): Promise<void> {
  await db.run(
    "INSERT INTO happyview_stream_positions (source, position, time_us, epoch, updated_at) VALUES (?, ?, ?, ?, '')",
    [source, position, time, epoch],
  );
}

function places(db: Database) {
  return createPlaces({ db, kinds: ["jetstream", "relay"], overlapMs: 60_000, now: () => start / 1000 });
}

describe.each(databases())("where a source begins, on $name", (subject) => {
  test("at the tip, when nothing was ever read; and from then on at that moment", async () => {
    await using db = await migrated(subject);
    const first = await places(db).startOf(jetstream("a"), 1);
    expect(first).toEqual({ cursor: undefined, coveredUs: undefined });
    expect(await places(db).startOf(jetstream("a"), 2)).toEqual({ cursor: String(start), coveredUs: start });
  });

  test("a relay has nothing to begin with, but what a Jetstream needs in its place", async () => {
    await using db = await migrated(subject);
    const here = places(db);
    expect(await here.startOf(relay, 1)).toEqual({ cursor: undefined, coveredUs: undefined });
    expect(await here.startOf(jetstream("a"), 1)).toEqual({ cursor: String(start - 60e6), coveredUs: start });
  });

  test("where it was, when it was the last that was read", async () => {
    await using db = await migrated(subject);
    await put(db, "jetstream:a", String(start), start);
    await put(db, "relay:r", "5", start - 1e6);
    expect((await places(db).startOf(jetstream("a"), 1)).cursor).toBe(String(start));
    expect(await places(db).startOf(relay, 1)).toEqual({ cursor: "5", coveredUs: start });
  });

  test("a minute before where another one was", async () => {
    await using db = await migrated(subject);
    await put(db, "relay:r", "5", start);
    await put(db, "jetstream:a", "1000", 1000);
    await put(db, "labeler:x", "9", start + 9e9);
    const begun = { cursor: String(start - 60e6), coveredUs: start };
    expect(await places(db).startOf(jetstream("a"), 1)).toEqual(begun);
    expect(await places(db).startOf(jetstream("b"), 1)).toEqual(begun);
  });

  test("where it was, when that is nearer than a minute", async () => {
    await using db = await migrated(subject);
    await put(db, "relay:r", "5", start);
    await put(db, "jetstream:a", String(start - 1e6), start - 1e6);
    expect((await places(db).startOf(jetstream("a"), 1)).cursor).toBe(String(start - 1e6));
  });

  test("a start of a new lead shuts out the one before", async () => {
    await using db = await migrated(subject);
    await put(db, "relay:r", "5", start, 3);
    await put(db, "labeler:x", "5", start, 1);
    await places(db).startOf(relay, 4);
    expect(await db.all("SELECT source, epoch FROM happyview_stream_positions ORDER BY source")).toEqual([
      { source: "labeler:x", epoch: 1 },
      { source: "relay:r", epoch: 4 },
    ]);
  });
});
