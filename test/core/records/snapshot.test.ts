import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import type { CommitEvent } from "../../../core/records/change.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { account, collection, commit, createBench, textsOf, type Bench } from "./_pipeline.ts";

const snapshot = (n: number, parts: Partial<CommitEvent> = {}): CommitEvent =>
  commit("create", n, { isSnapshot: true, ...parts });

describe.each(databases())("what a backfill reads, on $name", (subject) => {
  let db: Database & AsyncDisposable;
  let bench: Bench;
  let mark: string | undefined;
  let intercepted: string[];

  beforeEach(async () => {
    db = await migrated(subject);
    bench = createBench(db);
    mark = "a";
    intercepted = [];
  });
  afterEach(async () => {
    await bench.pipeline.close();
    await db[Symbol.asyncDispose]();
  });

  const marked = (): void =>
    bench.pipeline.intercept({
      wants: (action, nsid) => action === "create" && nsid === collection,
      async handle(event) {
        intercepted.push(event.rkey);
        if (mark === undefined) event.skip("for this test");
        else event.replace({ text: `${String(event.record?.["text"])}+${mark}` });
      },
    });

  test("passes the interceptors of today, though its rev is known", async () => {
    marked();
    const { pipeline } = bench;
    expect(await pipeline.ingestMany([commit("create", 5)])).toMatchObject({ stored: 1 });
    mark = "b";
    expect(await pipeline.ingestMany([commit("create", 5)])).toMatchObject({ stored: 1, skipped: 0 });
    expect(await textsOf(db)).toEqual({ one: "v5+a" }); // a source that repeats itself is no news
    expect(await pipeline.ingestMany([snapshot(5)])).toMatchObject({ stored: 1, skipped: 0 });
    expect(await textsOf(db)).toEqual({ one: "v5+b" });
    mark = undefined;
    expect(await pipeline.ingestMany([snapshot(5)])).toMatchObject({ stored: 0, skipped: 1 });
    expect(await textsOf(db)).toEqual({ one: "v5+b" });
  });

  test("is what it was without them, once there are none", async () => {
    const { pipeline } = bench;
    await pipeline.ingestMany([commit("create", 5, { text: "of a script that is gone" })]);
    await pipeline.ingestMany([snapshot(5)]);
    expect(await textsOf(db)).toEqual({ one: "v5" });
  });

  test("changes nothing and is announced to nobody where all is as it was", async () => {
    const { pipeline } = bench;
    const rows = (): Promise<unknown[]> => db.all("SELECT * FROM happyview_records ORDER BY uri");
    await pipeline.ingestMany([snapshot(5), snapshot(5, { rkey: "two" })]);
    const [before, announced] = [await rows(), bench.applied.length];
    expect(await pipeline.ingestMany([snapshot(5), snapshot(5, { rkey: "two" })])).toMatchObject({
      stored: 2,
    });
    expect(await rows()).toEqual(before);
    expect(bench.applied).toHaveLength(announced);
  });

  test.each([
    ["with interceptors", true],
    ["without", false],
  ])("never undoes what is newer, a deletion of its own rev included; %s", async (_, withInterceptors) => {
    if (withInterceptors) marked();
    const { pipeline } = bench;
    await pipeline.ingestMany([
      commit("update", 7),
      commit("delete", 5, { rkey: "gone" }),
      commit("create", 4, { rkey: "ended", did: "did:plc:cccccccccccccccccccccccc" }),
      account(6, "deleted", "did:plc:cccccccccccccccccccccccc"),
    ]);
    const events = [
      snapshot(5),
      snapshot(5, { rkey: "gone" }),
      snapshot(4, { rkey: "ended", did: "did:plc:cccccccccccccccccccccccc" }),
    ];
    expect(await pipeline.ingestMany(events)).toMatchObject({ stored: 3, skipped: 0 });
    expect(await textsOf(db)).toEqual({ one: "v7" });
    expect(intercepted).toEqual(withInterceptors ? ["ended"] : []); // the create of its own time
  });
});
