import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { maxFrameBytes } from "../../../plugins/firehose/decode.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { fakeServer, type FakeServer } from "./fake-server.ts";
import { alice, bob, commitFrame, micros, note, noteUri, testApp, type TestApp } from "./fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "happyview-firehose-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const quick = { random: () => 0 };
const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 15_000, interval: 10 });
const connections = (server: FakeServer, count: number): Promise<void> =>
  eventually(() => expect(server.connections.length).toBeGreaterThanOrEqual(count));
const stored = (t: TestApp, ...uris: string[]): Promise<void> =>
  eventually(async () => {
    for (const uri of uris) expect(await t.stored(uri), uri).toBeDefined();
  });
const types = (t: TestApp): string[] => t.log.map(({ type }) => type);
const wanted = (server: FakeServer, index: number): string[] =>
  server.connections[index]?.url.searchParams.getAll("wantedCollections") ?? [];

test("asks for the record lexicons and indexes what comes", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: `${server.url}/`, ...quick }));
  await connections(server, 1);
  expect(server.connections[0]?.url.pathname).toBe("/subscribe");
  expect(wanted(server, 0)).toEqual(["com.atproto.lexicon.schema", note]);
  server.push(commitFrame("one"));
  await stored(t, noteUri("one"));
  expect(t.log).toContainEqual(
    expect.objectContaining({ type: "jetstream.connected", detail: { url: `${server.url}/subscribe` } }),
  );
});

test("after a drop it goes on where it was, and loses nothing", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  const before = commitFrame("before");
  server.push(before);
  await stored(t, noteUri("before"));
  server.cut();
  server.push(commitFrame("meanwhile", {}, { did: bob }), commitFrame("meanwhile2"));
  await stored(t, noteUri("meanwhile", bob), noteUri("meanwhile2"));
  expect(server.connections[1]?.url.searchParams.get("cursor")).toBe(String(before.time_us));
  expect(types(t)).toEqual(["jetstream.connected", "jetstream.disconnected", "jetstream.connected"]);
  expect(await t.metrics()).toContain("happyview_firehose_reconnects_total 1");
});

test("an event of a clock that runs ahead does not take the cursor with it", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  server.push(commitFrame("ahead", {}, { time_us: micros() + 365 * 86_400 * 1e6 }));
  await stored(t, noteUri("ahead"));
  server.cut();
  await connections(server, 2);
  const now = micros();
  expect(Number(server.connections[1]?.url.searchParams.get("cursor"))).toBeLessThanOrEqual(now);
  expect((await t.ready()).stream.detail["lastEvent"]).toBeDefined();
  expect(Date.parse(String((await t.ready()).stream.detail["lastEvent"]))).toBeLessThanOrEqual(now / 1000);
});

test("a drop before the first event loses nothing either", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  server.cut();
  server.push(commitFrame("first"));
  await stored(t, noteUri("first"));
});

test("a restart goes on from the database", async () => {
  await using server = await fakeServer();
  const database = `file:${join(folder, "restart.db")}`;
  {
    await using t = await testApp(firehose({ url: server.url, ...quick }), { database });
    await connections(server, 1);
    server.push(commitFrame("one"));
    await stored(t, noteUri("one"));
  }
  server.push(commitFrame("two"));
  await using t = await testApp(firehose({ url: server.url, ...quick }), { database });
  await stored(t, noteUri("two"));
});

test("events of no concern move the position, malformed ones do not stop the stream", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  const identity = { did: alice, kind: "identity", time_us: micros(), identity: { did: alice } };
  const mystery = { did: alice, kind: "mystery", time_us: micros() };
  for (const raw of ["{", "[]", '{"kind":"commit"}']) server.raw(raw);
  for (const event of [identity, commitFrame("x", {}, { collection: "com.example.other" }), mystery]) {
    server.push(event);
    await eventually(async () => {
      await t.app.records.pipeline.flush();
      const name = `jetstream:${new URL(server.url).host}`;
      expect(await t.app.records.pipeline.position(name)).toBe(String(event.time_us));
    });
  }
  const metrics = await t.metrics();
  expect(metrics).toContain("happyview_firehose_malformed_total 3");
  expect(metrics).toContain('happyview_firehose_events_total{kind="identity"} 1');
  expect(metrics).toContain('happyview_firehose_events_total{kind="other"} 1');
  expect(metrics).toContain("happyview_firehose_connected 1");
});

test("a frame that is too large is skipped, and one that would fill the memory ends the connection alone", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  const text = "x".repeat(maxFrameBytes);
  server.raw(JSON.stringify(commitFrame("large", { text })));
  server.push(commitFrame("after"));
  await stored(t, noteUri("after"));
  expect(await t.stored(noteUri("large"))).toBeUndefined();
  expect(server.connections).toHaveLength(1);
  server.raw(Buffer.alloc(8 * maxFrameBytes + 1, 32));
  await connections(server, 2);
  server.push(commitFrame("again"));
  await stored(t, noteUri("again"));
  expect(await t.metrics()).toContain("happyview_firehose_malformed_total 1");
});

test("a server that closes at once is not hammered", async () => {
  let waits = 0;
  await using server = await fakeServer({ onConnect: ({ socket }) => socket.close(1000, "bye") });
  await using t = await testApp(firehose({ url: server.url, random: () => (waits++, 0) }));
  await connections(server, 4);
  expect(waits).toBeGreaterThanOrEqual(3);
  expect(t.log.find(({ type }) => type === "jetstream.disconnected")).toMatchObject({
    severity: "warn",
    detail: { reason: "closed by the server (1000: bye)" },
  });
});

test("a silent server is left, one that answers pings is not", async () => {
  await using silent = await fakeServer({ silent: true });
  await using t = await testApp(firehose({ url: silent.url, idleTimeoutMs: 150, ...quick }));
  await connections(silent, 2);
  expect(t.log[1]?.detail["reason"]).toContain("nothing arrived");

  let pings = 0;
  await using quiet = await fakeServer({ onConnect: ({ socket }) => socket.on("ping", () => (pings += 1)) });
  await using _other = await testApp(firehose({ url: quiet.url, idleTimeoutMs: 900, ...quick }));
  await eventually(() => expect(pings).toBeGreaterThan(9)); // three times the timeout
  expect(quiet.connections).toHaveLength(1);
});

test("a refused upgrade tells why, once for the outage", async () => {
  await using server = await fakeServer({ refuse: "subscribe: invalid options: too many" });
  let waits = 0;
  await using t = await testApp(firehose({ url: server.url, random: () => (waits++, 0) }));
  await eventually(() => expect(waits).toBeGreaterThan(2));
  expect(t.log).toHaveLength(1);
  expect(t.log[0]?.detail["reason"]).toBe("the server answered 400: subscribe: invalid options: too many");
});

test("a new record lexicon changes the filter at once, with the cursor; a burst of them only once", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  const early = commitFrame("early", {}, { collection: "com.example.b" });
  const last = commitFrame("last");
  server.push(early, last);
  await stored(t, noteUri("last"));
  await t.track("com.example.b", "com.example.c", "com.example.d");
  await connections(server, 2);
  expect(wanted(server, 1)).toEqual([
    "com.atproto.lexicon.schema",
    "com.example.b",
    "com.example.c",
    "com.example.d",
    note,
  ]);
  expect(server.connections[1]?.url.searchParams.get("cursor")).toBe(String(last.time_us));
  server.push(commitFrame("new", {}, { collection: "com.example.b" }));
  await stored(t, `at://${alice}/com.example.b/new`);
  expect(await t.stored(`at://${alice}/com.example.b/early`)).toBeUndefined();
  expect(types(t)).toEqual(["jetstream.connected", "jetstream.connected"]);

  await t.lexicons.remove("com.example.c");
  await connections(server, 3);
  expect(wanted(server, 2)).not.toContain("com.example.c");
  // A lexicon that turns into something else is no collection any more.
  await t.lexicons.put({ document: { lexicon: 1, id: "com.example.d", defs: {} } });
  await connections(server, 4);
  expect(wanted(server, 3)).toEqual(["com.atproto.lexicon.schema", "com.example.b", note]);
});

test("a lexicon that is no record does not interrupt the stream", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  await t.lexicons.put({ document: { lexicon: 1, id: "com.example.defs", defs: {} } });
  await t.track("com.example.b"); // both are in one refresh, and the latter is what it is for
  await connections(server, 2);
  await t.lexicons.put({ document: { lexicon: 1, id: "com.example.defs2", defs: {} } });
  server.push(commitFrame("one"));
  await stored(t, noteUri("one"));
  expect(server.connections).toHaveLength(2);
});

test("more collections than a Jetstream takes are asked for by namespace", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  await t.track(...Array.from({ length: 120 }, (_, i) => `org.large.feed.c${i}`));
  await eventually(() => expect(wanted(server, server.connections.length - 1)).toContain("org.large.feed.*"));
  server.push(commitFrame("x", {}, { collection: "org.large.feed.untracked" }));
  server.push(commitFrame("x", {}, { collection: "org.large.feed.c7" }));
  await stored(t, `at://${alice}/org.large.feed.c7/x`);
  expect(await t.stored(`at://${alice}/org.large.feed.untracked/x`)).toBeUndefined();
});

test("while the pipeline is full the socket is not read", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }), { pipeline: { maxPending: 10 } });
  const { pipeline } = t.app.records;
  const gate = Promise.withResolvers<void>();
  pipeline.intercept({ wants: () => true, handle: () => gate.promise });
  await connections(server, 1);
  const text = "x".repeat(10_000);
  const frames = Array.from({ length: 2000 }, (_, i) => commitFrame(`r${i}`, { text }));
  server.push(...frames);
  await eventually(() => expect(pipeline.pending()).toBeGreaterThanOrEqual(10));
  await eventually(() => expect(server.connections[0]?.socket.bufferedAmount).toBeGreaterThan(1_000_000));
  // What had been read from the socket when it was paused comes in, nothing after it.
  expect(pipeline.pending()).toBeLessThan(100);
  gate.resolve();
  await stored(t, noteUri("r1999"));
  const rows = await t.app.db.get<{ n: number }>("SELECT count(*) AS n FROM happyview_records");
  expect(Number(rows?.n)).toBe(2000);
  expect(await t.metrics()).toMatch(/^happyview_firehose_backpressure_seconds_total [1-9\d.]*[1-9]/m);
  expect(server.connections).toHaveLength(1);
});

test("a reconnect does not wait for ever for what is in flight, and repeats are harmless", async () => {
  await using server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, ...quick }));
  const gate = Promise.withResolvers<void>();
  let handled = 0;
  t.app.records.pipeline.intercept({
    wants: () => true,
    handle: () => ((handled += 1), gate.promise),
  });
  await connections(server, 1);
  server.push(commitFrame("slow"));
  await eventually(() => expect(handled).toBe(1));
  server.cut();
  await connections(server, 2);
  gate.resolve();
  await stored(t, noteUri("slow"));
  server.push(commitFrame("next"));
  await stored(t, noteUri("next"));
  expect(handled).toBe(2);
});

test("a position that the server no longer has is reported", async () => {
  await using server = await fakeServer();
  const database = `file:${join(folder, "gap.db")}`;
  const old = micros() - 4 * 24 * 3600 * 1e6;
  {
    await using t = await testApp(firehose({ url: server.url, ...quick }), { database });
    await connections(server, 1);
    server.push(commitFrame("old", {}, { time_us: old }));
    await stored(t, noteUri("old"));
    expect(types(t)).not.toContain("firehose.gap");
  }
  await using t = await testApp(firehose({ url: server.url, ...quick }), { database });
  await connections(server, 2);
  expect(server.connections[1]?.url.searchParams.get("cursor")).toBe(String(old));
  const fresh = commitFrame("fresh");
  server.push(fresh);
  await stored(t, noteUri("fresh"));
  const iso = (us: number): string => new Date(us / 1000).toISOString();
  expect(t.log.find(({ type }) => type === "firehose.gap")).toMatchObject({
    severity: "warn",
    detail: { from: iso(old), to: iso(fresh.time_us) },
  });
  expect((await t.ready()).stream).toMatchObject({ ok: true, detail: { gap: { from: iso(old) } } });
  expect(await t.metrics()).toContain("happyview_firehose_gaps_total 1");
});

test("an old position that the server still has is no gap", async () => {
  await using server = await fakeServer();
  const database = `file:${join(folder, "nogap.db")}`;
  const old = micros() - 4 * 24 * 3600 * 1e6;
  {
    await using t = await testApp(firehose({ url: server.url, ...quick }), { database });
    await connections(server, 1);
    server.push(commitFrame("old", {}, { time_us: old }));
    await stored(t, noteUri("old"));
  }
  server.push(commitFrame("next", {}, { time_us: old + 1e6 }), commitFrame("fresh"));
  await using t = await testApp(firehose({ url: server.url, ...quick }), { database });
  await stored(t, noteUri("next"), noteUri("fresh"));
  expect(types(t)).not.toContain("firehose.gap");
});

test("health says why the stream is away, and no only after a while", async () => {
  let now = Date.now();
  const server = await fakeServer();
  await using t = await testApp(firehose({ url: server.url, now: () => now, ...quick }));
  await connections(server, 1);
  server.push(commitFrame("one", {}, { time_us: (now - 5000) * 1000 }));
  await stored(t, noteUri("one"));
  expect((await t.ready()).stream).toMatchObject({
    ok: true,
    detail: { source: "jetstream", connected: true, lagSeconds: 5, url: `${server.url}/subscribe` },
  });
  await server[Symbol.asyncDispose]();
  await eventually(async () => expect((await t.ready()).stream.detail["connected"]).toBe(false));
  expect(await t.ready()).toMatchObject({ status: 200, stream: { ok: true } });
  now += 61_000;
  const away = await t.ready();
  expect(away).toMatchObject({ status: 503, stream: { ok: false, detail: { disconnectedSeconds: 61 } } });
  expect(away.stream.detail["reason"]).toEqual(expect.any(String));
});

test("credentials of the address are used and never shown", async () => {
  await using server = await fakeServer();
  const url = server.url.replace("ws://", "ws://me:secret@");
  await using t = await testApp(firehose({ url, ...quick }));
  await connections(server, 1);
  await eventually(() => expect(types(t)).toContain("jetstream.connected"));
  server.cut();
  await connections(server, 2);
  expect(JSON.stringify([t.log, await t.ready()])).not.toContain("secret");
});

test("an account's deletion takes its records, and closing while events come is clean", async () => {
  await using server = await fakeServer();
  const t = await testApp(firehose({ url: server.url, ...quick }));
  await connections(server, 1);
  server.push(commitFrame("one"));
  await stored(t, noteUri("one"));
  const time_us = micros() + 1000;
  const account = {
    did: alice,
    active: false,
    status: "deleted",
    seq: 1,
    time: new Date(time_us / 1000 + 1).toISOString(),
  };
  server.push({ did: alice, time_us, kind: "account", account });
  await eventually(async () => expect(await t.stored(noteUri("one"))).toBeUndefined());
  server.push(commitFrame("late", {}, { did: bob }));
  await t.app.close();
  await eventually(() => expect(server.connections[0]?.socket.readyState).toBe(3));
});
