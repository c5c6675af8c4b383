import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { firehose, type FirehoseOptions } from "../../../plugins/firehose/index.ts";
import { fakeServer, type FakeServer } from "./fake-server.ts";
import { commitFrame, note, noteUri, testApp, type TestApp } from "./fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "happyview-failover-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const overlapMs = 2000;
const quick: FirehoseOptions = {
  random: () => 0,
  maxBackoffMs: 20,
  failoverAfterMs: 60_000,
  failoverAfterAttempts: 3,
  failbackAfterMs: 0,
  probeEveryMs: 20,
  overlapMs,
};
const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 20_000, interval: 10 });
const stored = (t: TestApp, ...uris: string[]): Promise<void> =>
  eventually(async () => {
    for (const uri of uris) expect(await t.stored(uri), uri).toBeDefined();
  });
const types = (t: TestApp): string[] => t.log.map(({ type }) => type);
const readers = (server: FakeServer): FakeServer["connections"] =>
  server.connections.filter(({ url }) => url.searchParams.getAll("wantedCollections").includes(note));

/** A Jetstream whose upgrades can be refused. */
async function moody() {
  const mood = { refuse: false };
  const server = await fakeServer({ refuseWhen: () => mood.refuse });
  return { mood, ...server };
}

test("a Jetstream that stays away is replaced by the next, from the same time on with an overlap", async () => {
  await using one = await moody();
  await using two = await moody();
  const sources = [one, two].map(({ url }) => ({ kind: "jetstream" as const, url }));
  await using t = await testApp(firehose({ ...quick, sources }));
  await eventually(() => expect(readers(one)).toHaveLength(1));
  const last = commitFrame("before");
  one.push(last);
  await stored(t, noteUri("before"));
  one.mood.refuse = true;
  one.cut();
  two.push(commitFrame("meanwhile"));
  await stored(t, noteUri("meanwhile"));
  expect(readers(two)[0]?.url.searchParams.get("cursor")).toBe(String(last.time_us - overlapMs * 1000));
  const name = (server: FakeServer): string => `jetstream:${new URL(server.url).host}`;
  expect(t.log.find(({ type }) => type === "firehose.failover")).toMatchObject({
    severity: "warn",
    detail: { from: name(one), to: name(two), reason: expect.stringContaining("400") },
  });
  expect(await t.metrics()).toContain("happyview_firehose_failovers_total 1");
  expect(await t.metrics()).toContain(`happyview_firehose_source{source="${name(two)}"} 1`);

  // It is well again: the reader returns, and what comes from now on is read from it.
  one.mood.refuse = false;
  await eventually(() => expect(readers(one).at(-1)?.url.searchParams.has("cursor")).toBe(true));
  one.push(commitFrame("after"));
  await stored(t, noteUri("after"));
  const rows = await t.app.db.all<{ source: string }>("SELECT source FROM happyview_stream_positions");
  expect(rows.map(({ source }) => source).toSorted()).toEqual([name(one), name(two)].toSorted());
  expect(types(t)).not.toContain("firehose.gap");
});

test("when all are away each gets its turn", async () => {
  await using one = await moody();
  await using two = await moody();
  one.mood.refuse = two.mood.refuse = true;
  const sources = [one, two].map(({ url }) => ({ kind: "jetstream" as const, url }));
  await using t = await testApp(firehose({ ...quick, sources, failbackAfterMs: 60_000 }));
  await eventually(() =>
    expect(types(t).filter((type) => type === "firehose.failover").length).toBeGreaterThan(3),
  );
  two.mood.refuse = false;
  await eventually(() => expect(readers(two)).toHaveLength(1));
  two.push(commitFrame("one"));
  await stored(t, noteUri("one"));
});

test("the host of the only Jetstream may change between two starts", async () => {
  await using one = await fakeServer();
  await using two = await fakeServer();
  const database = `file:${join(folder, "host.db")}`;
  const last = commitFrame("one");
  {
    await using t = await testApp(firehose({ ...quick, url: one.url }), { database });
    await eventually(() => expect(readers(one)).toHaveLength(1));
    one.push(last);
    await stored(t, noteUri("one"));
  }
  two.push(commitFrame("two"));
  await using t = await testApp(firehose({ ...quick, url: two.url }), { database });
  await stored(t, noteUri("two"));
  expect(readers(two)[0]?.url.searchParams.get("cursor")).toBe(String(last.time_us - overlapMs * 1000));
});

test("the position of an instance of version 0.1 is kept", async () => {
  await using server = await fakeServer();
  const database = `file:${join(folder, "nameless.db")}`;
  {
    await using t = await testApp(firehose({ ...quick, url: "ws://127.0.0.1:9" }), { database });
    await eventually(() => expect(types(t)).toContain("jetstream.disconnected"));
    await t.app.db.run("DELETE FROM happyview_stream_positions");
    await t.app.db.run(
      "INSERT INTO happyview_stream_positions (source, position, updated_at) VALUES ('jetstream', '1700000000000000', '')",
    );
  }
  await using _t = await testApp(firehose({ ...quick, url: server.url }), { database });
  await eventually(() => expect(readers(server)).toHaveLength(1));
  expect(readers(server)[0]?.url.searchParams.get("cursor")).toBe("1700000000000000");
});

/** Refuses every connection of a service until the result is called. */
function away(network: Network, service: "jetstream" | "relay"): () => void {
  const back = network.faults.add({ service, status: 503 });
  network[service].disconnect();
  return back;
}

test("from a Jetstream to a relay and back: the relay's tip was noted, so that there is neither gap nor flood", async () => {
  await using network = await createNetwork({ seed: 31, now: Date.now });
  const { plcUrl, relayUrl, jetstreamUrl } = network;
  const sources = [
    { kind: "jetstream" as const, url: jetstreamUrl },
    { kind: "relay" as const, url: relayUrl },
  ];
  await using t = await testApp(firehose({ ...quick, sources, overlapMs: 1, failbackAfterMs: 0 }), {
    plcUrl,
  });
  const position = (): Promise<string | undefined> =>
    t.app.records.pipeline.position(`relay:${new URL(relayUrl).host}`);
  await eventually(() => expect(network.jetstream.clients).toBeGreaterThan(0));
  const account = await network.createAccount();
  let n = 0;
  const write = async (): Promise<string> => {
    const rkey = `r${n++}`;
    await account.create(note, { n }, rkey);
    return noteUri(rkey, account.did);
  };
  // A probe finds the tip when something happens; the Jetstream then comes past it.
  await eventually(async () => {
    await stored(t, await write());
    expect(await position()).toBeDefined();
  });
  const noted = Number(await position());
  const back = away(network, "jetstream");
  const missed = [await write(), await write()];
  await stored(t, ...missed);
  expect(noted).toBeLessThan(network.relay.seq);
  await eventually(async () => expect(await position()).toBe(String(network.relay.seq)));
  expect(types(t)).toContain("relay.connected");
  expect(types(t)).not.toContain("firehose.gap");
  expect(await t.metrics()).toContain(
    `happyview_firehose_verified_total{collection="${note}",by="signature"}`,
  );

  back();
  await eventually(() => expect(t.log.filter(({ type }) => type === "firehose.failover")).toHaveLength(2));
  await stored(t, await write());
  expect(types(t)).not.toContain("firehose.gap");
});

test("a relay whose tip nobody noted is read live, and the gap is told in times", async () => {
  await using network = await createNetwork({ seed: 32, now: Date.now });
  const { plcUrl, relayUrl, jetstreamUrl } = network;
  const database = `file:${join(folder, "gap.db")}`;
  const account = await network.createAccount();
  {
    await using t = await testApp(firehose({ ...quick, url: jetstreamUrl }), { plcUrl, database });
    await eventually(() => expect(network.jetstream.clients).toBe(1));
    await account.create(note, {}, "one");
    await stored(t, noteUri("one", account.did));
  }
  await account.create(note, {}, "lost");
  await using t = await testApp(firehose({ ...quick, source: "relay", url: relayUrl }), { plcUrl, database });
  await eventually(() => expect(network.relay.clients).toBe(1));
  await account.create(note, {}, "two");
  await stored(t, noteUri("two", account.did));
  expect(await t.stored(noteUri("lost", account.did))).toBeUndefined();
  expect(t.log.filter(({ type }) => type === "firehose.gap")).toEqual([
    expect.objectContaining({
      detail: {
        from: expect.stringMatching(/^20\d\d-.*Z$/),
        to: expect.stringMatching(/^20\d\d-.*Z$/),
        reason: expect.stringContaining("not read before"),
      },
    }),
  ]);
  // And back to the Jetstream, which has it all.
  await t.app.close();
  await account.create(note, {}, "three");
  await using again = await testApp(firehose({ ...quick, url: jetstreamUrl }), { plcUrl, database });
  await stored(again, noteUri("three", account.did));
});
