import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { TID } from "@atproto/common-web";
import { afterEach, describe, expect, test, vi } from "vitest";
import { connect, type Database } from "../../../core/db/database.ts";
import type { JetstreamAccount, JetstreamCommit } from "../../../playground/network/event.ts";
import { createFaults } from "../../../playground/network/faults.ts";
import { createPrng } from "../../../playground/network/prng.ts";
import { startTap, type Tap, type TapOptions } from "../../../playground/network/tap.ts";
import { firehose, type FirehoseOptions } from "../../../plugins/firehose/index.ts";
import { createTurns } from "../../../plugins/firehose/turns.ts";
import { computeCid } from "../../../core/records/verify.ts";
import {
  differences,
  expectedTable,
  hardStream,
  tableOf,
  collections,
} from "../../core/convergence/_stream.ts";
import { databases } from "../../setup/databases.ts";
import { alice, bob, micros, note, noteUri, testApp, type TestApp } from "./fixture.ts";

const eventually = <T>(check: () => T | Promise<T>, timeout = 20_000): Promise<T> =>
  vi.waitFor(check, { timeout, interval: 10 });
const stored = (t: TestApp, ...uris: string[]): Promise<void> =>
  eventually(async () => {
    for (const uri of uris) expect(await t.stored(uri), uri).toBeDefined();
  });

const open: Tap[] = [];
afterEach(async () => {
  for (const tap of open.splice(0)) await tap.close();
});

async function tapServer(options: Partial<TapOptions> = {}): Promise<Tap> {
  const parts = { faults: createFaults(createPrng("faults")), prng: createPrng("sockets"), retryMs: 100 };
  const tap = await startTap({ ...parts, ...options });
  open.push(tap);
  return tap;
}

function tapApp(tap: Tap, options: FirehoseOptions = {}): Promise<TestApp> {
  return testApp(firehose({ source: "tap", url: tap.url, random: () => 0, ...options }));
}

function commit(
  rkey: string,
  change: Partial<JetstreamCommit["commit"]> = {},
  did: string = alice,
): JetstreamCommit {
  const time_us = micros();
  const record = { $type: note, rkey };
  const rev = TID.fromTime(time_us, 0).toString();
  const path = { collection: note, rkey };
  return {
    did,
    time_us,
    kind: "commit",
    commit: { rev, operation: "create", ...path, record, cid: computeCid(record) ?? "", ...change },
  };
}

function account(status: string, did: string = alice): JetstreamAccount {
  const time = new Date().toISOString();
  const active = status === "active";
  return {
    did,
    time_us: micros(),
    kind: "account",
    account: { did, active, seq: 1, time, ...(active ? {} : { status }) },
  };
}

test("what a Tap sends is stored, and acknowledged then", async () => {
  const tap = await tapServer();
  await using t = await tapApp(tap);
  tap.publish(commit("one"));
  tap.publish(commit("two", {}, bob), false);
  tap.publish(commit("x", { collection: "com.example.untracked" }));
  await stored(t, noteUri("one"), noteUri("two", bob));
  await eventually(() => expect(tap.pending).toBe(0));
  const host = new URL(tap.url).host;
  expect(t.log).toContainEqual(expect.objectContaining({ type: "tap.connected", detail: { url: tap.url } }));
  expect(await t.ready()).toMatchObject({
    status: 200,
    stream: { detail: { source: "tap", connected: true } },
  });
  const metrics = await t.metrics();
  expect(metrics).toContain(`happyview_firehose_source{source="tap:${host}"} 1`);
  expect(metrics).toContain('happyview_firehose_events_total{kind="commit"} 3');
  expect(metrics).toContain(`happyview_firehose_verified_total{collection="${note}",by="cid"} 2`);
});

test("nothing is acknowledged before it is durable", async () => {
  const tap = await tapServer({ retryMs: 60_000 });
  await using t = await tapApp(tap);
  const gate = Promise.withResolvers<void>();
  let handled = 0;
  t.app.records.pipeline.intercept({ wants: () => true, handle: () => ((handled += 1), gate.promise) });
  tap.publish(commit("one"));
  await eventually(() => expect(handled).toBe(1));
  expect(tap.pending).toBe(1);
  gate.resolve();
  await stored(t, noteUri("one"));
  await eventually(() => expect(tap.pending).toBe(0));
});

test("links, bytes and blobs arrive as they were", async () => {
  const tap = await tapServer();
  await using t = await tapApp(tap);
  const cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
  const record = {
    $type: note,
    link: { $link: cid },
    bytes: { $bytes: "AQI" },
    blob: { $type: "blob", ref: { $link: cid }, mimeType: "image/png", size: 5 },
    deep: [{ n: 1, s: "ü", none: null }],
  };
  tap.publish(commit("one", { record, cid: computeCid(record) ?? "" }));
  await stored(t, noteUri("one"));
  expect(await t.stored(noteUri("one"))).toEqual(record);
});

test("what cannot be read is dropped, and does not hold up its repo", async () => {
  const tap = await tapServer();
  await using t = await tapApp(tap);
  tap.publishText(alice, '{"id":ID,"type":"record","record":{"did":"not a did"}}');
  tap.publishText(alice, '{"id":ID,"type":"mystery"}');
  tap.publish(commit("wrong", { cid: "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku" }));
  tap.publish(commit("one"));
  await stored(t, noteUri("one"));
  await eventually(() => expect(tap.pending).toBe(0));
  expect(await t.stored(noteUri("wrong"))).toBeUndefined();
  expect(t.log.map(({ type }) => type)).toContain("record.cid_mismatch");
  expect(await t.metrics()).toContain("happyview_firehose_malformed_total 2");
});

test("an account that goes, returns and is deleted", async () => {
  const tap = await tapServer();
  await using t = await tapApp(tap);
  for (const rkey of ["a", "b"]) tap.publish(commit(rkey));
  await stored(t, noteUri("b"));
  tap.publish(account("takendown"));
  await eventually(async () => expect(await t.stored(noteUri("a"))).toBeUndefined());
  tap.publish(account("active"));
  await stored(t, noteUri("a"), noteUri("b"));
  tap.publish(account("deleted"));
  await eventually(async () => expect(await t.stored(noteUri("a"))).toBeUndefined());
  tap.publish(account("active"));
  tap.publish(commit("again"));
  await stored(t, noteUri("again"));
  expect(await t.stored(noteUri("a"))).toBeUndefined();
  // A Tap that died before it wrote down our acks tells it all once more: the deletion is of old.
  tap.crash();
  await eventually(() => expect(tap.clients).toBe(1));
  tap.publish(commit("last"));
  await stored(t, noteUri("last"), noteUri("again"));
  await eventually(() => expect(tap.pending).toBe(0));
  expect(await t.stored(noteUri("a"))).toBeUndefined();
});

test("a handle that changes is no news of the account", async () => {
  const tap = await tapServer();
  await using t = await tapApp(tap);
  tap.publish(commit("a"));
  const time = new Date().toISOString();
  const identity = { did: alice, handle: "alice.test", seq: 1, time };
  tap.publish({ did: alice, time_us: micros(), kind: "identity", identity });
  await stored(t, noteUri("a"));
  await eventually(() => expect(tap.pending).toBe(0));
  expect(await t.app.db.all("SELECT * FROM happyview_accounts")).toEqual([]);
});

test("a Tap that wants a password, and says so", async () => {
  const tap = await tapServer({ password: "secret" });
  await using refused = await tapApp(tap, { maxBackoffMs: 20 });
  await eventually(() => expect(refused.log.map(({ type }) => type)).toContain("tap.disconnected"));
  expect(refused.log[0]?.detail["reason"]).toContain("401");
  await using t = await tapApp(tap, { adminPassword: "secret" });
  tap.publish(commit("one"));
  await stored(t, noteUri("one"));
  expect(JSON.stringify([t.log, refused.log, await t.ready()])).not.toContain("secret");
});

describe.each(databases())("a hard stream through a Tap on $name", (subject) => {
  test("that breaks, repeats itself and dies ends as the oracle says", async () => {
    const { url, drop } = await subject.open();
    const faults = createFaults(createPrng("51/faults"));
    const tap = await tapServer({ faults, retryMs: 200 });
    // Tap tells what happens when it happens: no repetitions of old, and the time of an account event is its place.
    const events = hardStream(51, { events: 3000, stale: 0, duplicates: 0 });
    for (let i = 0; i < 6; i++)
      faults.add({ service: "tap", times: 1, socket: { disconnectAfter: 150 + 60 * i, duplicate: 0.05 } });
    const t = await testApp(firehose({ source: "tap", url: tap.url, random: () => 0, maxBackoffMs: 20 }), {
      database: url,
    });
    await t.track(...collections);
    for (const event of events) tap.publish(event);
    await eventually(() => expect(tap.pending).toBeLessThan(2000), 60_000);
    tap.disconnect();
    await eventually(() => expect(tap.pending).toBe(0), 60_000);
    const db: Database = await connect({ url, maxConnections: 2 });
    expect(differences(await tableOf(db), expectedTable(events))).toEqual([]);
    await t.app.close();
    await db.close();
    await drop();
  });
});

test("where the package is missing the start says what to install", async () => {
  const script = `
    import { registerHooks } from "node:module";
    registerHooks({ resolve(name, context, next) {
      if (name === "@atproto/tap") throw Object.assign(new Error("Cannot find package '@atproto/tap'"), { code: "ERR_MODULE_NOT_FOUND" });
      return next(name, context);
    } });
    const { createApp } = await import("./core/index.ts");
    const { resolveConfig } = await import("./core/config/resolve.ts");
    const { firehose } = await import("./plugins/firehose/index.ts");
    const config = resolveConfig({ plugins: [firehose({ source: "tap" })] }, { mode: "test", root: ".", env: { DATABASE_URL: ":memory:" } });
    await createApp({ config }).then(() => console.log("started"), (error) => console.log(error.code, error.message, error.hint));
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--conditions=happyview-source", "--input-type=module", "-e", script],
    { cwd: process.cwd() },
  );
  expect(stdout).toContain("PLUGIN_SETUP_FAILED");
  expect(stdout).toContain("npm install @atproto/tap");
});

test("work of one repo that is alone waits for all before it, and all after it wait", async () => {
  const turns = createTurns(100);
  const order: string[] = [];
  const gates = new Map<string, () => void>();
  const work = (name: string) => async (): Promise<void> => {
    order.push(`${name} begins`);
    await new Promise<void>((go) => gates.set(name, go));
    order.push(`${name} ends`);
  };
  void turns.take(alice, false, work("1"));
  void turns.take(alice, false, work("2"));
  void turns.take(alice, true, work("alone"));
  void turns.take(alice, false, work("3"));
  void turns.take(bob, false, work("other"));
  expect(order).toEqual(["1 begins", "2 begins", "other begins"]);
  for (const name of ["2", "1", "alone", "3", "other"]) {
    await eventually(() => expect(gates.has(name)).toBe(true));
    gates.get(name)?.();
  }
  await turns.done();
  expect(order.filter((entry) => !entry.startsWith("other"))).toEqual([
    "1 begins",
    "2 begins",
    "2 ends",
    "1 ends",
    "alone begins",
    "alone ends",
    "3 begins",
    "3 ends",
  ]);
});

test("more work than there is room for is waited for, and work that fails is over", async () => {
  const turns = createTurns(2);
  const gate = Promise.withResolvers<void>();
  expect(turns.take(alice, false, () => Promise.reject(new Error("no")))).toBeUndefined();
  await turns.done();
  expect(turns.take(alice, false, () => gate.promise)).toBeUndefined();
  const wait = turns.take(bob, false, () => gate.promise);
  expect(wait).toBeInstanceOf(Promise);
  gate.resolve();
  await wait;
});
