import { afterEach, describe, expect, test, vi } from "vitest";
import { computeCid } from "../../../core/records/verify.ts";
import type { JetstreamCommit, JsonRecord } from "../../../playground/network/event.ts";
import { tidAt } from "../../../playground/network/clock.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { firehose, type FirehoseOptions } from "../../../plugins/firehose/index.ts";
import { adminHeaders, limitedCaller, limitedHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import { definePlugin } from "../../../core/index.ts";
import type { LogEvent } from "../../../core/events.ts";
import { note, recordLexicon } from "./fixture.ts";

const [sqlite] = databases() as [DatabaseSubject];
const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 20_000, interval: 10 });

const pace = { delayMs: 0, retryMs: 10, gapMs: 0, tickMs: 5 };
const sampled: FirehoseOptions = { verify: "sampled", sampleShare: 1, samplePace: pace, random: () => 0 };

interface Started {
  network: Network;
  t: TestApp;
  log: LogEvent[];
  record(uri: string): Promise<unknown>;
  verification(): Promise<{ waiting: number; collections: Record<string, unknown>[] }>;
  /** Lets the Jetstream say of a repo what its account never wrote. */
  lie(did: string, rkey: string, change: { record?: JsonRecord; rev?: string; delete?: true }): void;
}

const running: Started[] = [];
afterEach(async () => {
  for (const { t, network } of running.splice(0)) {
    await t.stop();
    await network.close();
  }
});

async function start(subject: DatabaseSubject, options: FirehoseOptions = sampled): Promise<Started> {
  const network = await createNetwork({ seed: 41, now: Date.now });
  const log: LogEvent[] = [];
  const observer = definePlugin({
    name: "observer",
    async setup(app) {
      app.hook("event", (event) => void log.push(event));
      await app.lexicons.put({ document: recordLexicon(note) });
    },
  });
  const { plcUrl, jetstreamUrl } = network;
  const t = await startApp(subject, {
    plugins: [observer(), limitedCaller(), firehose({ url: jetstreamUrl, ...options })],
    network: { plcUrl },
  });
  await eventually(() => expect(network.jetstream.clients).toBe(1));
  const started: Started = {
    network,
    t,
    log,
    async record(uri) {
      const row = await t.app.db.get<{ record: string }>(
        "SELECT record FROM happyview_records WHERE uri = ?",
        [uri],
      );
      return row && JSON.parse(row.record);
    },
    async verification() {
      const response = await t.request("/admin/firehose/verification", { headers: adminHeaders });
      expect(response.status).toBe(200);
      return (await response.json()) as Awaited<ReturnType<Started["verification"]>>;
    },
    lie(did, rkey, change) {
      const time_us = network.clock.micros();
      const { record = { $type: note, text: "forged" }, rev = tidAt(time_us, 0) } = change;
      const content = change.delete ? {} : { record, cid: computeCid(record) ?? "" };
      const commit: JetstreamCommit["commit"] = {
        rev,
        operation: change.delete ? "delete" : "update",
        collection: note,
        rkey,
        ...content,
      };
      network.jetstream.publish({ did, time_us, kind: "commit", commit });
    },
  };
  running.push(started);
  return started;
}

const settled = (s: Started, counts: Record<string, number>): Promise<void> =>
  eventually(async () => {
    const { waiting, collections } = await s.verification();
    expect(waiting).toBe(0);
    expect(collections[0]).toMatchObject({ collection: note, ...counts });
  });

describe.each(databases())("a share of the records is proven by their hosts, on $name", (subject) => {
  test("what is true is counted, by collection", async () => {
    const s = await start(subject);
    const account = await s.network.createAccount();
    for (let i = 0; i < 5; i++) await account.create(note, { i }, `r${i}`);
    await account.delete(note, "r0");
    await eventually(async () => {
      const { waiting, collections } = await s.verification();
      expect(waiting).toBe(0);
      expect(collections).toHaveLength(1);
    });
    const { collections, ...rest } = await s.verification();
    expect(rest).toEqual({ level: "sampled", sample_share: 1, waiting: 0 });
    expect(collections[0]).toMatchObject({ collection: note, failed: 0, verified_percent: 100 });
    expect(collections[0]?.["proven"]).toBeGreaterThanOrEqual(5);
    const metrics = await (await s.t.request("/metrics")).text();
    expect(metrics).toContain(`happyview_firehose_proofs_total{collection="${note}",result="proven"}`);
    expect(s.log.map(({ type }) => type)).not.toContain("record.proof_failed");
  });

  test("what is false is told and replaced by what the account signed", async () => {
    const s = await start(subject);
    const account = await s.network.createAccount();
    const { rev, uri, cid } = await account.create(note, { text: "true" }, "a");
    await settled(s, { proven: 1 });
    s.lie(account.did, "a", {});
    await settled(s, { proven: 1, failed: 1 });
    await eventually(async () => expect(await s.record(uri)).toEqual({ $type: note, text: "true" }));
    expect(s.log.find(({ type }) => type === "record.proof_failed")).toMatchObject({
      severity: "error",
      subject: uri,
      detail: { did: account.did, collection: note, rkey: "a", proven_cid: cid, proven_rev: rev },
    });
    expect((await s.verification()).collections[0]).toMatchObject({ verified_percent: 50 });
    const metrics = await (await s.t.request("/metrics")).text();
    expect(metrics).toContain(`happyview_firehose_verified_percent{collection="${note}"} 50`);
    // The account goes on as if nothing had been.
    await account.put(note, "a", { text: "changed" });
    await eventually(async () => expect(await s.record(uri)).toEqual({ $type: note, text: "changed" }));
  });
});

test("a record that was never written goes, one that was never deleted returns", async () => {
  const s = await start(sqlite);
  const account = await s.network.createAccount();
  const { uri } = await account.create(note, { text: "here" }, "here");
  await settled(s, { proven: 1 });
  s.lie(account.did, "here", { delete: true });
  s.lie(account.did, "invented", {});
  await settled(s, { proven: 1, failed: 2 });
  await eventually(async () => {
    expect(await s.record(uri)).toEqual({ $type: note, text: "here" });
    expect(await s.record(`at://${account.did}/${note}/invented`)).toBeUndefined();
  });
});

test("a rev from the future does not keep the truth out", async () => {
  const s = await start(sqlite);
  const account = await s.network.createAccount();
  const { uri } = await account.create(note, { text: "true" }, "a");
  await settled(s, { proven: 1 });
  s.lie(account.did, "a", { rev: tidAt((Date.now() + 9e11) * 1000, 0) });
  await settled(s, { failed: 1 });
  await eventually(async () => expect(await s.record(uri)).toEqual({ $type: note, text: "true" }));
  await account.put(note, "a", { text: "later" });
  await eventually(async () => expect(await s.record(uri)).toEqual({ $type: note, text: "later" }));
});

test("a record that changes while its proof is awaited is judged by its last state", async () => {
  const s = await start(sqlite, { ...sampled, samplePace: { ...pace, delayMs: 150 } });
  const account = await s.network.createAccount();
  for (let i = 0; i < 20; i++) await account.put(note, "a", { i });
  await settled(s, { proven: 1, failed: 0 });
});

test("a host that is busy or away is asked again, and then left", async () => {
  const s = await start(sqlite);
  const account = await s.network.createAccount();
  const method = "com.atproto.sync.getRecord";
  s.network.faults.add({ service: "pds", method, status: 503, times: 2 });
  s.network.faults.add({ service: "pds", method, truncateAfter: 10, times: 1 });
  await account.create(note, { text: "patience" }, "a");
  await settled(s, { proven: 1, unavailable: 0 });
  s.network.faults.add({ service: "pds", method, status: 500 });
  await account.create(note, { text: "none" }, "b");
  await settled(s, { proven: 1, unavailable: 1, failed: 0 });
});

test("an account that is gone proves nothing, and that is no failure", async () => {
  const s = await start(sqlite, { ...sampled, samplePace: { ...pace, delayMs: 150 } });
  const account = await s.network.createAccount();
  await account.create(note, {}, "a");
  await account.setStatus("takendown");
  await settled(s, { unavailable: 1, failed: 0 });
});

test("one request at a time to a host, and no more samples than there is room for", async () => {
  const s = await start(sqlite, { ...sampled, samplePace: { ...pace, maxQueued: 3, delayMs: 150 } });
  const account = await s.network.createAccount();
  for (let i = 0; i < 10; i++) await account.create(note, { i }, `r${i}`);
  await settled(s, { proven: 3, skipped: 7 });
});

test("the share is a matter of chance, and of nothing without it", async () => {
  let turn = 0;
  const s = await start(sqlite, { ...sampled, sampleShare: 0.5, random: () => (turn++ % 4) / 4 });
  const account = await s.network.createAccount();
  for (let i = 0; i < 20; i++) await account.create(note, { i }, `r${i}`);
  await settled(s, { skipped: 0, failed: 0 });
  const { collections } = await s.verification();
  expect(collections[0]?.["proven"]).toBeGreaterThan(3);
  expect(collections[0]?.["proven"]).toBeLessThan(17);
});

test("who may see it", async () => {
  const s = await start(sqlite, { verify: "cid" });
  const path = "/admin/firehose/verification";
  expect((await s.t.request(path)).status).toBe(401);
  expect((await s.t.request(path, { headers: limitedHeaders })).status).toBe(403);
  expect(await s.verification()).toEqual({ level: "cid", sample_share: 0, waiting: 0, collections: [] });
});
