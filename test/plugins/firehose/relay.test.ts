import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secp256k1Keypair } from "@atproto/crypto";
import { afterAll, expect, test, vi } from "vitest";
import { backfill } from "../../../plugins/backfill/index.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { errorFrame, infoFrame } from "../../../playground/network/frames.ts";
import { createNetwork } from "../../../playground/network/network.ts";
import { fakeRelay, openRepo } from "./fake-relay.ts";
import { alice, bob, note, noteUri, testApp, type TestApp } from "./fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "happyview-relay-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const quick = { source: "relay", random: () => 0 } as const;
const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 15_000, interval: 10 });
const stored = (t: TestApp, ...uris: string[]): Promise<void> =>
  eventually(async () => {
    for (const uri of uris) expect(await t.stored(uri), uri).toBeDefined();
  });
const position = (t: TestApp, server: { url: string }): Promise<string | undefined> =>
  t.app.records.pipeline.position(`relay:${new URL(server.url).host}`);

test("verified records of a whole network", async () => {
  await using network = await createNetwork({ seed: 11, now: Date.now });
  const { plcUrl, relayUrl } = network;
  await using t = await testApp(firehose({ url: relayUrl, ...quick }), { plcUrl });
  await eventually(() => expect(network.relay.clients).toBe(1));
  const [one, two] = [await network.createAccount(), await network.createAccount()];
  await one.create(note, { text: "hi", bytes: { $bytes: "AQI" } }, "a");
  await one.create("com.example.untracked", { text: "no" }, "a");
  await one.applyWrites([
    { action: "put", collection: note, rkey: "a", record: { text: "changed" } },
    { action: "create", collection: note, rkey: "b", record: { text: "b" } },
  ]);
  await two.create(note, { text: "two" }, "a");
  await stored(t, noteUri("a", two.did), noteUri("b", one.did));
  expect(await t.stored(noteUri("a", one.did))).toEqual({ $type: note, text: "changed" });
  expect(await t.stored(`at://${one.did}/com.example.untracked/a`)).toBeUndefined();

  network.relay.disconnect();
  await one.delete(note, "b");
  await two.create(note, { text: "missed" }, "missed");
  await stored(t, noteUri("missed", two.did));
  await eventually(async () => expect(await t.stored(noteUri("b", one.did))).toBeUndefined());
  await two.setStatus("deleted");
  await eventually(async () => expect(await t.stored(noteUri("missed", two.did))).toBeUndefined());
  await eventually(async () => expect(await position(t, { url: relayUrl })).toBe(String(network.relay.seq)));
  expect(t.log.map(({ type }) => type)).not.toContain("record.unverified");
});

test("what another key signed is dropped and reported; the stream goes on", async () => {
  await using relay = await fakeRelay();
  const good = await openRepo(bob, relay.keys);
  const bad = await openRepo(alice, relay.keys);
  relay.keys.set(alice, (await Secp256k1Keypair.create()).did());
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  relay.commit(alice, await bad.create("forged"));
  relay.commit(alice, await bad.create("forged2"));
  relay.commit(bob, await good.create("fine"));
  await stored(t, noteUri("fine", bob));
  expect(await t.stored(noteUri("forged"))).toBeUndefined();
  const reports = t.log.filter(({ type }) => type === "record.unverified");
  expect(reports).toHaveLength(1); // the second one is counted in the entry of the next minute
  expect(reports[0]).toMatchObject({ severity: "warn", subject: alice, detail: { count: 1 } });
  expect(reports[0]?.detail["reason"]).toContain("Invalid signature");
  // Alice once and once more because of the first forgery; a second one asks no more. Bob once.
  expect(relay.lookups()).toBe(3);
  await eventually(async () => expect(await position(t, relay)).toBe("3"));
});

test("a key that was exchanged since it was cached is read again", async () => {
  await using relay = await fakeRelay();
  const before = await openRepo(alice, relay.keys);
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  relay.commit(alice, await before.create("one"));
  await stored(t, noteUri("one"));
  const after = await openRepo(alice, relay.keys);
  // Both find the old key in the cache, and wait for the same answer.
  for (const commit of [await after.create("two"), await after.create("three")]) relay.commit(alice, commit);
  await stored(t, noteUri("two"), noteUri("three"));
  expect(relay.lookups()).toBe(2);
});

test("after an identity event the old key no longer counts", async () => {
  await using relay = await fakeRelay();
  const before = await openRepo(alice, relay.keys);
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  relay.commit(alice, await before.create("one"));
  await stored(t, noteUri("one"));
  const after = await openRepo(alice, relay.keys);
  relay.identity(alice, "alice.test");
  relay.commit(alice, await before.create("stolen"));
  relay.commit(alice, await after.create("two"));
  await stored(t, noteUri("two"));
  expect(await t.stored(noteUri("stolen"))).toBeUndefined();
  expect(await t.metrics()).toContain('happyview_firehose_dropped_total{reason="unverified"} 1');
});

test("a repo that was reset is read anew where a backfill can do it: what is gone goes, what is new comes", async () => {
  await using network = await createNetwork({ seed: 17, now: Date.now });
  const { plcUrl, relayUrl, faults } = network;
  await using t = await testApp(firehose({ url: relayUrl, ...quick }), { plcUrl, besides: [backfill()] });
  await eventually(() => expect(network.relay.clients).toBe(1));
  const account = await network.createAccount();
  const other = await network.createAccount();
  for (const rkey of ["stays", "changes", "goes"]) await account.create(note, { text: rkey }, rkey);
  await stored(t, noteUri("goes", account.did));
  // From now on the stream says nothing of the account but that it was reset.
  const speak = faults.add({ service: "relay", did: account.did, socket: { drop: 1 } });
  network.relay.disconnect();
  await other.create(note, {}, "seen");
  await stored(t, noteUri("seen", other.did));
  await account.delete(note, "goes");
  await account.put(note, "changes", { text: "changed" });
  await account.create(note, {}, "new");
  await other.create(note, {}, "seen2");
  await stored(t, noteUri("seen2", other.did));
  await eventually(async () => expect(await position(t, { url: relayUrl })).toBe(String(network.relay.seq)));
  speak();
  network.relay.disconnect();
  await eventually(() => expect(network.relay.clients).toBe(1));
  await account.sync();
  await stored(t, noteUri("new", account.did));
  await eventually(async () => expect(await t.stored(noteUri("goes", account.did))).toBeUndefined());
  expect(await t.stored(noteUri("changes", account.did))).toEqual({ $type: note, text: "changed" });
  expect(await t.stored(noteUri("stays", account.did))).toEqual({ $type: note, text: "stays" });
  expect(t.log.filter(({ type }) => type === "repo.desynchronized")).toHaveLength(1);
});

test("a frame cannot claim another rev, repo or record than the signed ones", async () => {
  await using relay = await fakeRelay();
  const repo = await openRepo(alice, relay.keys);
  const other = await openRepo(bob, relay.keys);
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  const ops = (await other.create("theirs")).ops;
  relay.commit(alice, await repo.create("rev"), { rev: "3zzzzzzzzzzzz" });
  relay.commit(bob, await repo.create("repo"));
  relay.commit(alice, await repo.create("record"), { ops });
  relay.commit(alice, await repo.create("fine"));
  await stored(t, noteUri("fine"));
  const uris = [noteUri("rev"), noteUri("repo", bob), noteUri("theirs"), noteUri("record")];
  for (const uri of uris) expect(await t.stored(uri), uri).toBeUndefined();
  await t.app.close();
  const reports = t.log.filter(({ type }) => type === "record.unverified");
  expect(reports.map(({ subject, detail }) => [subject, detail["count"]])).toEqual([
    [alice, 1],
    [bob, 1],
    [alice, 1],
  ]);
});

test("a commit with more blocks than its operations can need is dropped before they are hashed", async () => {
  await using relay = await fakeRelay();
  const repo = await openRepo(alice, relay.keys);
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  const commit = await repo.create("many");
  // Blocks of one byte, which have no hash: to read one of them would be another failure.
  const blocks = Buffer.concat([commit.blocks, Buffer.alloc(200, Buffer.from([1, 0]))]);
  relay.commit(alice, commit, { blocks });
  relay.commit(alice, await repo.create("fine"));
  await stored(t, noteUri("fine"));
  expect(await t.stored(noteUri("many"))).toBeUndefined();
  expect(t.log.find(({ type }) => type === "record.unverified")?.detail["reason"]).toBe(
    "a CAR with more than 96 blocks",
  );
});

test("an account without a document is reported, not waited for", async () => {
  await using relay = await fakeRelay();
  const gone = await openRepo(alice, relay.keys);
  const here = await openRepo(bob, relay.keys);
  relay.keys.delete(alice);
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  relay.commit(alice, await gone.create("x"));
  relay.commit(bob, await here.create("x"));
  await stored(t, noteUri("x", bob));
  expect(t.log.find(({ type }) => type === "record.unverified")?.detail["reason"]).toContain(
    "cannot be resolved",
  );
});

test("a repo of ours that was reset is reported, others are not", async () => {
  await using relay = await fakeRelay();
  const ours = await openRepo(alice, relay.keys);
  const other = await openRepo(bob, relay.keys);
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  const commit = await ours.create("one");
  relay.commit(alice, commit);
  await stored(t, noteUri("one"));
  relay.sync(bob, await other.create("one"));
  for (let i = 0; i < 3; i++) relay.sync(alice, commit); // one entry a minute is enough
  await eventually(async () => expect(await position(t, relay)).toBe("5"));
  expect(t.log.filter(({ type }) => type === "repo.desynchronized")).toEqual([
    expect.objectContaining({ subject: alice, detail: { rev: commit.rev, reason: "the repo was reset" } }),
  ]);
});

test("an outdated cursor is a gap, up to the first message that came", async () => {
  await using relay = await fakeRelay((index, server) => {
    if (index === 1) server.raw(infoFrame("OutdatedCursor", "too old"));
  });
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  relay.account(alice, "active");
  await eventually(async () => expect(await position(t, relay)).toBe("1"));
  relay.server.cut();
  await eventually(() => expect(relay.server.connections).toHaveLength(2));
  expect(relay.server.connections[1]?.url.searchParams.get("cursor")).toBe("1");
  relay.account(alice, "active");
  await eventually(() =>
    expect(t.log.find(({ type }) => type === "firehose.gap")).toMatchObject({
      detail: { from: "1", to: "2" },
    }),
  );
});

test("a relay that began anew is read live, and the gap reported", async () => {
  await using relay = await fakeRelay((index, server) => {
    if (index === 1) server.raw(errorFrame("FutureCursor", "Cursor in the future."));
  });
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  relay.account(alice, "active");
  await eventually(async () => expect(await position(t, relay)).toBe("1"));
  relay.server.cut();
  await eventually(() => expect(relay.server.connections).toHaveLength(3));
  expect(relay.server.connections[2]?.url.searchParams.has("cursor")).toBe(false);
  relay.account(alice, "active");
  await eventually(() =>
    expect(t.log.find(({ type }) => type === "firehose.gap")).toMatchObject({
      severity: "warn",
      detail: { from: "1", to: "2", reason: expect.stringContaining("ahead of the relay") },
    }),
  );
  await eventually(async () => expect(await position(t, relay)).toBe("2"));
});

test.each([
  ["answers 503", { status: 503 }],
  ["asks to slow down", { status: 429 }],
  ["breaks off its answers", { truncateAfter: 10 }],
  ["answers no JSON", { wrongJson: true }],
])("a directory that %s is waited for, and nothing is lost", async (_, fault) => {
  await using network = await createNetwork({ seed: 12, now: Date.now });
  const { plcUrl, relayUrl, faults } = network;
  await using t = await testApp(firehose({ url: relayUrl, unhealthyAfterMs: 0, ...quick }), { plcUrl });
  await eventually(() => expect(network.relay.clients).toBe(1));
  const account = await network.createAccount();
  faults.add({ service: "plc", ...fault });
  for (let i = 0; i < 5; i++) await account.create(note, { i }, `r${i}`);
  await eventually(async () =>
    expect((await t.ready()).stream).toMatchObject({
      ok: false,
      detail: { waitingFor: expect.stringContaining(account.did), connected: true },
    }),
  );
  const before = await position(t, { url: relayUrl });
  expect(Number(before ?? 0)).toBeLessThan(network.relay.seq);
  faults.clear();
  await stored(t, ...[0, 1, 2, 3, 4].map((i) => noteUri(`r${i}`, account.did)));
  await eventually(async () => expect(await position(t, { url: relayUrl })).toBe(String(network.relay.seq)));
  expect((await t.ready()).stream).toMatchObject({ ok: true });
  expect(t.log.map(({ type }) => type)).not.toContain("record.unverified");
});

test("a key that cannot be refreshed now is refreshed later", async () => {
  await using relay = await fakeRelay();
  const before = await openRepo(alice, relay.keys);
  await using t = await testApp(firehose({ url: relay.url, ...quick }), { plcUrl: relay.plcUrl });
  await eventually(() => expect(relay.server.connections).toHaveLength(1));
  relay.commit(alice, await before.create("one"));
  await stored(t, noteUri("one"));
  const after = await openRepo(alice, relay.keys);
  relay.away = true;
  const lookups = relay.lookups();
  for (const rkey of ["two", "three"]) relay.commit(alice, await after.create(rkey));
  await eventually(() => expect(relay.lookups()).toBeGreaterThan(lookups + 1));
  relay.away = false;
  await stored(t, noteUri("two"), noteUri("three"));
  expect(t.log.map(({ type }) => type)).not.toContain("record.unverified");
});

test("a stop while the directory is away is quick, and the restart reads the commits again", async () => {
  await using network = await createNetwork({ seed: 14, now: Date.now });
  const { plcUrl, relayUrl, faults } = network;
  const database = `file:${join(folder, "away.db")}`;
  const account = await network.createAccount();
  {
    await using t = await testApp(firehose({ url: relayUrl, ...quick }), { plcUrl, database });
    await eventually(() => expect(network.relay.clients).toBe(1));
    faults.add({ service: "plc", status: 503 });
    await account.setStatus("active");
    for (const rkey of ["a", "b"]) await account.create(note, {}, rkey);
    await eventually(async () => expect((await t.ready()).stream.detail).toHaveProperty("waitingFor"));
  }
  faults.clear();
  await using t = await testApp(firehose({ url: relayUrl, ...quick }), { plcUrl, database });
  await stored(t, noteUri("a", account.did), noteUri("b", account.did));
});

test("a directory that is away at the very first commit loses it neither to a drop nor to a restart", async () => {
  await using relay = await fakeRelay();
  const repo = await openRepo(alice, relay.keys);
  const options = { plcUrl: relay.plcUrl, database: `file:${join(folder, "first.db")}` };
  relay.away = true;
  {
    await using t = await testApp(firehose({ url: relay.url, ...quick }), options);
    await eventually(() => expect(relay.server.connections).toHaveLength(1));
    relay.commit(alice, await repo.create("first"));
    await eventually(async () => expect((await t.ready()).stream.detail).toHaveProperty("waitingFor"));
    relay.server.cut();
    await eventually(() => expect(relay.server.connections).toHaveLength(2));
  }
  await using _ = await testApp(firehose({ url: relay.url, ...quick }), options);
  await eventually(() => expect(relay.server.connections).toHaveLength(3));
  const cursors = relay.server.connections.map(({ url }) => url.searchParams.get("cursor"));
  expect(cursors).toEqual([null, "0", "0"]);
});
