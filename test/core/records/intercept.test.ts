import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../../core/db/database.ts";
import type { RecordBeforeEvent } from "../../../core/records/intercept.ts";
import { databases, migrated } from "../../setup/databases.ts";
import {
  account,
  alice,
  bob,
  collection,
  commit,
  createBench,
  otherCollection,
  textsOf,
  turns,
  type Bench,
} from "./_pipeline.ts";

describe.each(databases())("interceptors on $name", (subject) => {
  let db: Database & AsyncDisposable;
  let bench: Bench;

  beforeEach(async () => {
    db = await migrated(subject);
    bench = createBench(db, { maxIntercepts: 3 });
  });
  afterEach(async () => {
    await bench.pipeline.close();
    await db[Symbol.asyncDispose]();
  });

  const intercept = (handle: (event: RecordBeforeEvent) => Promise<void> | void, nsid = collection): void =>
    bench.pipeline.intercept({ wants: (_, name) => name === nsid, handle: async (event) => handle(event) });

  const text = (event: RecordBeforeEvent): string => String(event.record?.["text"]);

  test("see the event, and without a word it goes on as it is", async () => {
    const seen: unknown[] = [];
    intercept(
      ({ action, uri, did, rkey, cid, record }) => void seen.push({ action, uri, did, rkey, cid, record }),
    );
    void bench.pipeline.ingest(commit("create", 1));
    void bench.pipeline.ingest(commit("delete", 2));
    await bench.pipeline.flush();
    const uri = `at://${alice}/${collection}/one`;
    expect(seen).toEqual([
      { action: "create", uri, did: alice, rkey: "one", cid: "", record: { $type: collection, text: "v1" } },
      { action: "delete", uri, did: alice, rkey: "one", cid: "", record: undefined },
    ]);
    expect(await textsOf(db)).toEqual({});
  });

  test("replace a body, one after another; the cid stays the event's", async () => {
    intercept((event) => event.replace({ text: `${text(event)}+a` }));
    intercept((event) => event.replace({ text: `${text(event)}+b` }));
    void bench.pipeline.ingest(commit("create", 1, { cid: "" }));
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ one: "v1+a+b" });
  });

  test("references are those of the replaced body", async () => {
    intercept((event) => event.replace({ ref: `at://${bob}/x.y.z/1` }));
    void bench.pipeline.ingest(commit("create", 1, { record: { ref: `at://${alice}/x.y.z/2` } }));
    await bench.pipeline.flush();
    expect(await db.all("SELECT target_uri FROM happyview_record_refs")).toEqual([
      { target_uri: `at://${bob}/x.y.z/1` },
    ]);
  });

  test("skip an event: nothing changes, the rest of them is not asked, the reason is told", async () => {
    const asked: string[] = [];
    intercept((event) => {
      if (event.rkey === "bad") event.skip("spam");
    });
    intercept((event) => void asked.push(event.rkey));
    void bench.pipeline.ingest(commit("create", 1, { rkey: "bad" }), { source: "s", position: "1" });
    void bench.pipeline.ingest(commit("create", 2), { source: "s", position: "2" });
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ one: "v2" });
    expect(asked).toEqual(["one"]);
    expect(bench.events).toMatchObject([
      {
        type: "record.skipped",
        subject: `at://${alice}/${collection}/bad`,
        detail: { reason: "spam", did: alice, collection, rkey: "bad" },
      },
    ]);
    expect(await bench.pipeline.position("s")).toBe("2");
  });

  test("a skipped deletion leaves the record", async () => {
    intercept((event) => {
      if (event.action === "delete") event.skip("kept");
    });
    void bench.pipeline.ingest(commit("create", 1));
    void bench.pipeline.ingest(commit("delete", 2));
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ one: "v1" });
  });

  test("one that throws, at once or later, loses nothing", async () => {
    bench.pipeline.intercept({
      wants: () => true,
      handle: (event) => {
        if (event.rkey === "sync") throw new Error("at once");
        return event.rkey === "async" ? Promise.reject(new Error("later")) : Promise.resolve();
      },
    });
    for (const rkey of ["sync", "async", "fine"]) void bench.pipeline.ingest(commit("create", 1, { rkey }));
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ sync: "v1", async: "v1", fine: "v1" });
    const errors = bench.log.filter((line) => line.level === "error");
    expect(errors.map((line) => line["error"])).toEqual(["at once", "later"]);
  });

  test("one that throws after a replacement stores the event as it was", async () => {
    intercept((event) => {
      event.replace({ text: "half done" });
      throw new Error("broken");
    });
    void bench.pipeline.ingest(commit("create", 1));
    await bench.pipeline.flush();
    expect(await textsOf(db)).toEqual({ one: "v1" });
  });

  test("are not asked about what they do not want, nor again about old news", async () => {
    const asked: string[] = [];
    intercept((event) => void asked.push(`${event.action} ${text(event)}`));
    const events = [commit("create", 2), commit("create", 2), commit("update", 1), commit("update", 3)];
    void bench.pipeline.ingest(commit("create", 1, { collection: otherCollection, rkey: "other" }));
    for (const event of events) void bench.pipeline.ingest(event);
    await bench.pipeline.flush();
    for (const event of events) void bench.pipeline.ingest(event);
    await bench.pipeline.flush();
    expect(asked).toEqual(["create v2", "update v3"]);
    expect(await textsOf(db)).toEqual({ other: "v1", one: "v3" });
  });

  test("are not asked about commits from before an account was deleted", async () => {
    const asked: string[] = [];
    intercept((event) => void asked.push(text(event)));
    void bench.pipeline.ingest(account(5, "deleted"));
    await bench.pipeline.flush();
    void bench.pipeline.ingest(commit("create", 4));
    void bench.pipeline.ingest(commit("create", 6));
    await bench.pipeline.flush();
    expect(asked).toEqual(["v6"]);
  });

  test("keep the order of a repo, while another repo overtakes", async () => {
    const release = Promise.withResolvers<void>();
    const finished: string[] = [];
    intercept(async (event) => {
      if (event.did === alice && text(event) === "v1") await release.promise;
      finished.push(`${event.did === alice ? "alice" : "bob"} ${text(event)}`);
    });
    void bench.pipeline.ingest(commit("create", 1));
    void bench.pipeline.ingest(commit("update", 2));
    void bench.pipeline.ingest(commit("create", 1, { collection: otherCollection, rkey: "behind" }));
    void bench.pipeline.ingest(account(9, "takendown"));
    void bench.pipeline.ingest(commit("create", 1, { did: bob, rkey: "bobs" }));
    await untilDurable(async () => (await textsOf(db))["bobs"] === "v1");
    expect(await textsOf(db)).toEqual({ bobs: "v1" });
    expect(finished).toEqual(["bob v1"]);
    release.resolve();
    await bench.pipeline.flush();
    expect(finished).toEqual(["bob v1", "alice v1", "alice v2"]);
    expect(bench.applied.filter((change) => change.did === alice).map((change) => change.record)).toEqual([
      JSON.stringify({ $type: collection, text: "v1" }),
      JSON.stringify({ $type: collection, text: "v2" }),
      JSON.stringify({ $type: collection, text: "v1" }),
    ]);
    expect(await textsOf(db)).toEqual({ bobs: "v1" });
  });

  test("run at most so many at once", async () => {
    let running = 0;
    let most = 0;
    const release: (() => void)[] = [];
    intercept(async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((go) => release.push(go));
      running -= 1;
    });
    for (let i = 0; i < 20; i++) void bench.pipeline.ingest(commit("create", i, { did: `did:plc:repo${i}` }));
    for (let released = 0; released < 20;) {
      while (release.length < Math.min(3, 20 - released)) await turns(1);
      await turns(); // time for one more than may run
      for (const go of release.splice(0)) {
        go();
        released += 1;
      }
    }
    await bench.pipeline.flush();
    expect(most).toBe(3);
    expect(await db.get("SELECT count(*) AS n FROM happyview_records")).toEqual({ n: 20 });
  });

  test("what is ingested while one runs keeps its place", async () => {
    const first = Promise.withResolvers<void>();
    intercept(async (event) => {
      if (text(event) === "v1") await first.promise;
    });
    for (let n = 1; n <= 50; n++) void bench.pipeline.ingest(commit("update", n));
    first.resolve();
    for (let n = 51; n <= 100; n++) {
      void bench.pipeline.ingest(commit("update", n));
      if (n % 10 === 0) await turns(1);
    }
    await bench.pipeline.flush();
    expect(
      bench.applied.map((change) => (JSON.parse(change.record ?? "{}") as { text: string }).text),
    ).toEqual(Array.from({ length: 100 }, (_, i) => `v${i + 1}`));
  });
});

async function untilDurable(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await turns(1);
}
