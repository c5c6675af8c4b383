import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import type { SourceEvent } from "../../../core/records/change.ts";
import { databases, migrated } from "../../setup/databases.ts";
import { account, alice, bob, commit, createBench, rev, textsOf, type Bench } from "./_pipeline.ts";

const sync = (n: number): SourceEvent => ({ kind: "sync", did: alice, rev: rev(n) });

describe.each(databases())("a repo that was read anew, on $name", (subject) => {
  let db: Database & AsyncDisposable;
  let bench: Bench;

  beforeEach(async () => {
    db = await migrated(subject);
    bench = createBench(db);
  });
  afterEach(async () => {
    await bench.pipeline.close();
    await db[Symbol.asyncDispose]();
  });

  async function feed(events: readonly SourceEvent[], apart: boolean): Promise<void> {
    for (const event of events) {
      void bench.pipeline.ingest(event);
      if (apart) await bench.pipeline.flush();
    }
    await bench.pipeline.flush();
  }

  describe.each([
    ["in one transaction", false],
    ["in a transaction each", true],
  ])("%s", (_, apart) => {
    test("has what came with it, and nothing older", async () => {
      await feed(
        [
          commit("create", 1, { rkey: "stays" }),
          commit("create", 2, { rkey: "goes" }),
          commit("create", 9, { rkey: "newer" }),
          commit("create", 1, { rkey: "other", did: bob }),
          sync(5),
          commit("create", 5, { rkey: "stays" }),
          commit("create", 3, { rkey: "late" }),
        ],
        apart,
      );
      expect(await textsOf(db)).toEqual({ stays: "v5", newer: "v9", other: "v1" });
      const deleted = bench.applied.filter(({ action }) => action === "delete").map(({ rkey }) => rkey);
      expect(deleted.toSorted()).toEqual(["goes", "stays"]);
    });

    test("is known as such when it comes twice, or late", async () => {
      await feed(
        [commit("create", 1, { rkey: "one" }), sync(5), sync(3), commit("create", 4), sync(5)],
        apart,
      );
      expect(await textsOf(db)).toEqual({});
      await feed([commit("create", 6, { rkey: "two" }), sync(5)], apart);
      expect(await textsOf(db)).toEqual({ two: "v6" });
    });

    test("loses what is set aside, too", async () => {
      const away = account(2, "takendown");
      await feed([commit("create", 1), away, commit("create", 3, { rkey: "two" }), sync(3)], apart);
      await feed([account(4, undefined)], apart);
      expect(await textsOf(db)).toEqual({ two: "v3" });
    });
  });

  test("leaves what has no rev, which is not the network's, and remembers no repo of which there is nothing", async () => {
    await feed([{ ...commit("create", 1, { rkey: "local" }), rev: "" }, sync(5)], true);
    expect(await textsOf(db)).toEqual({ local: "v1" });
    await feed([{ kind: "sync", did: bob, rev: rev(5) }], true);
    expect(await db.all("SELECT did FROM happyview_accounts")).toEqual([{ did: alice }]);
  });

  test("waits for its turn behind what an interceptor holds", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    bench.pipeline.intercept({ wants: () => true, handle: () => promise });
    const fed = feed([commit("create", 1), sync(5)], false);
    resolve();
    await fed;
    expect(await textsOf(db)).toEqual({});
  });
});
