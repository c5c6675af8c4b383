import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import { computeCid } from "../../../core/records/verify.ts";
import { databases, migrated } from "../../setup/databases.ts";
import {
  account,
  alice,
  bob,
  collection,
  commit,
  createBench,
  otherCollection,
  rev,
  rowsOf,
  textsOf,
  type Bench,
} from "./_pipeline.ts";

describe.each(databases())("what is stored of a stream, on $name", (subject) => {
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

  /** Ingests all at once, or each in a transaction of its own: the result must be the same. */
  const feed = async (
    events: Parameters<Bench["pipeline"]["ingest"]>[0][],
    apart: boolean,
  ): Promise<void> => {
    for (const event of events) {
      void bench.pipeline.ingest(event);
      if (apart) await bench.pipeline.flush();
    }
    await bench.pipeline.flush();
  };

  describe.each([
    ["in one transaction", false],
    ["in a transaction each", true],
  ])("%s", (_, apart) => {
    test("create, update, delete", async () => {
      await feed([commit("create", 1), commit("update", 2), commit("create", 1, { rkey: "two" })], apart);
      expect(await textsOf(db)).toEqual({ one: "v2", two: "v1" });
      await feed([commit("delete", 3)], apart);
      expect(await textsOf(db)).toEqual({ two: "v1" });
      expect(bench.applied.map((change) => `${change.action} ${change.rkey}`)).toEqual([
        "create one",
        "update one",
        "create two",
        "delete one",
      ]);
    });

    test("an older rev never wins", async () => {
      await feed([commit("create", 1), commit("update", 5), commit("update", 3), commit("delete", 4)], apart);
      expect(await textsOf(db)).toEqual({ one: "v5" });
      expect(bench.applied).toHaveLength(2);
    });

    test("a repeated event changes nothing", async () => {
      const event = commit("create", 1);
      await feed([event, event], apart);
      const [before] = await db.all("SELECT * FROM happyview_records");
      await feed([event], apart);
      expect(await db.all("SELECT * FROM happyview_records")).toEqual([before]);
      expect(bench.applied).toHaveLength(1);
    });

    test("a record does not come back from before its deletion", async () => {
      await feed([commit("create", 1), commit("delete", 3), commit("create", 1), commit("update", 2)], apart);
      expect(await textsOf(db)).toEqual({});
    });

    test("a deletion that arrives first holds", async () => {
      await feed([commit("delete", 2), commit("create", 1)], apart);
      expect(await textsOf(db)).toEqual({});
    });

    test("a record may be created again after its deletion", async () => {
      await feed([commit("create", 1), commit("delete", 2), commit("create", 3)], apart);
      expect(await textsOf(db)).toEqual({ one: "v3" });
      await feed([commit("delete", 2)], apart);
      expect(await textsOf(db)).toEqual({ one: "v3" });
      expect(await db.all("SELECT * FROM happyview_record_tombstones")).toEqual([]);
    });

    test("an update of an unknown record creates it", async () => {
      await feed([commit("update", 2)], apart);
      expect(bench.applied.map((change) => change.action)).toEqual(["create"]);
      expect(await textsOf(db)).toEqual({ one: "v2" });
    });

    test("a deleted account loses its records, and older commits stay void", async () => {
      await feed(
        [
          commit("create", 1),
          commit("create", 1, { did: bob, rkey: "bobs" }),
          account(5, "deleted"),
          commit("update", 4),
          commit("create", 3, { rkey: "late" }),
        ],
        apart,
      );
      expect(await textsOf(db)).toEqual({ bobs: "v1" });
      await feed([commit("create", 6, { rkey: "new" })], apart);
      expect(await textsOf(db)).toEqual({ bobs: "v1", new: "v6" });
    });

    test.each(["takendown", "suspended", "deactivated"])(
      "a %s account is out of sight until it is active again",
      async (status) => {
        await feed(
          [
            commit("create", 1, { record: { text: "v1", ref: `at://${bob}/a.b.c/1` } }),
            commit("create", 2, { rkey: "two" }),
            account(3, status),
            commit("update", 4, { rkey: "two" }),
            commit("create", 5, { rkey: "three" }),
          ],
          apart,
        );
        expect(await textsOf(db)).toEqual({});
        expect(await db.all("SELECT * FROM happyview_record_refs")).toEqual([]);
        await feed([commit("delete", 6, { rkey: "three" }), account(7, undefined)], apart);
        expect(await textsOf(db)).toEqual({ one: "v1", two: "v4" });
        expect(await db.all("SELECT target_uri FROM happyview_record_refs")).toEqual([
          { target_uri: `at://${bob}/a.b.c/1` },
        ]);
      },
    );

    test("an account that is deleted while taken down is gone for good", async () => {
      await feed(
        [commit("create", 1), account(2, "takendown"), account(3, "deleted"), account(4, undefined)],
        apart,
      );
      expect(await textsOf(db)).toEqual({});
      expect(await db.all("SELECT * FROM happyview_withheld_records")).toEqual([]);
    });

    test("an older account event never wins", async () => {
      await feed(
        [commit("create", 1), account(5, "takendown"), account(6, undefined), account(5, "takendown")],
        apart,
      );
      expect(await textsOf(db)).toEqual({ one: "v1" });
    });

    test.each(["throttled", "desynchronized"])("a host's trouble (%s) hides nothing", async (status) => {
      await feed([commit("create", 1), account(2, status), commit("update", 3)], apart);
      expect(await textsOf(db)).toEqual({ one: "v3" });
    });

    test("references are kept in step with the record", async () => {
      const refs = async (): Promise<string[]> =>
        (
          await db.all<{ target_uri: string }>(
            "SELECT target_uri FROM happyview_record_refs ORDER BY target_uri",
          )
        ).map((row) => row.target_uri);
      const a = `at://${bob}/x.y.z/a`;
      const b = `at://${bob}/x.y.z/b`;
      await feed(
        [commit("create", 1, { record: { one: a, deep: [{ two: a }, { three: [b, "no at://x"] }] } })],
        apart,
      );
      expect(await refs()).toEqual([a, b]);
      await feed([commit("update", 2, { record: { two: b } })], apart);
      expect(await refs()).toEqual([b]);
      await feed([commit("delete", 3)], apart);
      expect(await refs()).toEqual([]);
    });
  });

  test("later news of one record takes the later place in lists", async () => {
    await feed([commit("create", 1), commit("create", 1, { rkey: "two" }), commit("update", 2)], false);
    const rows = await db.all<{ rkey: string }>(
      "SELECT rkey FROM happyview_records ORDER BY indexed_at DESC",
    );
    expect(rows.map((row) => row.rkey)).toEqual(["one", "two"]);
  });

  test("hundreds of events of few records, in one go", async () => {
    for (let n = 1; n <= 700; n++) void bench.pipeline.ingest(commit("update", n, { rkey: `r${n % 3}` }));
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ r0: "v699", r1: "v700", r2: "v698" });
  });

  test("a source without revs: the last event wins, and what is known of the rev stays", async () => {
    await feed([commit("create", 4), commit("update", 5, { rev: "" })], true);
    expect(await rowsOf(db)).toMatchObject([{ record: { text: "v5" }, rev: rev(4) }]);
    await feed([commit("delete", 6, { rev: "" })], true);
    expect(await rowsOf(db)).toEqual([]);
  });

  test("a record whose CID is not the claimed one is dropped, with an event", async () => {
    const record = { $type: collection, text: "true" };
    const cid = computeCid(record) ?? "";
    await feed(
      [
        commit("create", 1, { record, cid }),
        commit("create", 1, { rkey: "two", record: { text: "forged" }, cid }),
      ],
      false,
    );
    expect(await textsOf(db)).toEqual({ one: "true" });
    expect(bench.events).toMatchObject([
      {
        type: "record.cid_mismatch",
        severity: "warn",
        subject: `at://${alice}/${collection}/two`,
        detail: { did: alice, collection, rkey: "two", cid },
      },
    ]);
  });

  test.each([
    ["a DID", { did: "alice" }],
    ["a DID with a slash", { did: "did:plc:a/b" }],
    ["a record key", { rkey: "a/b" }],
    ["an empty record key", { rkey: "" }],
    ["a record key of a dot", { rkey: "." }],
    ["a record key of 600 characters", { rkey: "a".repeat(600) }],
    ["a record key with a NUL", { rkey: "a\u0000" }],
    ["a collection", { collection: "not an nsid" }],
  ])("what is not %s is dropped, and the rest goes on", async (_, parts) => {
    await feed([commit("create", 1, parts), commit("create", 2)], false);
    expect(await textsOf(db)).toEqual({ one: "v2" });
  });

  test("a record that is missing, and collections that nobody tracks, are dropped without a word", async () => {
    await feed(
      [
        { ...commit("create", 1), record: undefined },
        commit("create", 1, { collection: "app.bsky.feed.post" }),
        commit("create", 1, { collection: otherCollection, rkey: "other" }),
      ],
      false,
    );
    expect(await textsOf(db)).toEqual({ other: "v1" });
    expect(bench.events).toEqual([]);
    expect(bench.pipeline.pending()).toBe(0);
  });

  test("identity changes and published lexicons are announced, not stored", async () => {
    const announced: unknown[] = [];
    bench.hooks.hook("identity:changed", (event) => void announced.push(event.did));
    bench.hooks.hook(
      "lexicon:published",
      ({ did, nsid, document }) => void announced.push([did, nsid, document]),
    );
    bench.hooks.hook("account:changed", ({ did, status }) => void announced.push([did, status]));
    await feed(
      [
        { kind: "identity", did: alice },
        commit("create", 1, {
          collection: "com.atproto.lexicon.schema",
          rkey: "a.b.c",
          record: { id: "a.b.c" },
        }),
        account(2, "takendown"),
      ],
      false,
    );
    expect(announced).toEqual([alice, [alice, "a.b.c", { id: "a.b.c" }], [alice, "takendown"]]);
    expect(await rowsOf(db)).toEqual([]);
  });

  test("a listener that throws undoes nothing", async () => {
    bench.hooks.hook("record:after", () => {
      throw new Error("broken listener");
    });
    await feed([commit("create", 1), commit("update", 2)], true);
    expect(await textsOf(db)).toEqual({ one: "v2" });
    expect(
      bench.log.some((line) => line.level === "error" && JSON.stringify(line).includes("broken listener")),
    ).toBe(true);
  });
});
