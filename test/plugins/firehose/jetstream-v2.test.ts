import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { datetimeAt, tidAt } from "../../../playground/network/clock.ts";
import type { JetstreamEvent } from "../../../playground/network/event.ts";
import { createFaults, type FaultRule } from "../../../playground/network/faults.ts";
import { generateEvents, type GenerateOptions } from "../../../playground/network/generate.ts";
import { startJetstreamV2 } from "../../../playground/network/jetstream-v2.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { oracle } from "../../../playground/network/oracle.ts";
import { createPrng } from "../../../playground/network/prng.ts";
import { definePlugin, type Plugin } from "../../../core/index.ts";
import { firehose, type FirehoseOptions } from "../../../plugins/firehose/index.ts";
import { databases } from "../../setup/databases.ts";
import { alice, bob, note, noteUri, testApp, type TestApp } from "./fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "happyview-jetstream-v2-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = (): string => `file:${join(folder, `${files++}.db`)}`;

const other = "com.example.other";
const socket = "network.bsky.jetstream.subscribeEvents";
const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 10_000, interval: 10 });

let network: Network;
let published: JetstreamEvent[];
beforeEach(async () => {
  network = await createNetwork({ now: Date.now });
  network.jetstreamV2.rowsPerBlock = 50;
  published = [];
});
afterEach(() => network.close());

function publish(options: Partial<GenerateOptions> = {}, server = network.jetstreamV2): void {
  const startUs = Math.max(Date.now() * 1000, (published.at(-1)?.time_us ?? 0) + 1000);
  const made = generateEvents({
    events: 599,
    dids: 20,
    collections: [note, other],
    updates: 0.2,
    deletes: 0.1,
    accounts: 0.01,
    seed: published.length,
    startUs,
    ...options,
  });
  const identity = { did: alice, seq: 1, time: datetimeAt(startUs) };
  // The last one passes every filter, so that the position comes to be the last seq.
  for (const event of [
    ...made,
    { did: alice, time_us: startUs + 1e6, kind: "identity" as const, identity },
  ]) {
    published.push(event);
    server.publish(event);
  }
}

/** What was published so far can be had of the archive alone. */
function seal(): void {
  network.jetstreamV2.lookBackMs = 0.001;
  network.jetstreamV2.seal();
  publish({ events: 49 });
  network.jetstreamV2.seal();
}

function v2(options: FirehoseOptions = {}): Plugin {
  return firehose({
    source: "jetstream-v2",
    url: network.jetstreamV2.url,
    random: () => 0,
    maxBackoffMs: 50,
    ...options,
  });
}

/** The seqs of all that reaches the pipeline. */
function recorder(): { plugin: Plugin; seqs: number[] } {
  const seqs: number[] = [];
  const plugin = definePlugin({
    name: "recorder",
    setup({ records: { pipeline } }) {
      const { ingest } = pipeline;
      pipeline.ingest = (event, position) => {
        if (position) seqs.push(Number(position.position));
        return ingest(event, position);
      };
    },
  });
  return { plugin: plugin(), seqs };
}

async function indexOf(t: TestApp): Promise<Map<string, unknown>> {
  const rows = await t.app.db.all<{ uri: string; record: string }>(
    "SELECT uri, record FROM happyview_records",
  );
  return new Map(rows.map(({ uri, record }) => [uri, JSON.parse(record)]));
}

/** The index is what all that was published from an event on comes to. */
async function converged(t: TestApp, from = 0): Promise<void> {
  const expected = new Map<string, unknown>();
  for (const [uri, { record }] of oracle(published.slice(from)))
    if (uri.includes(`/${note}/`)) expected.set(uri, record);
  await eventually(async () => {
    await t.app.records.pipeline.flush();
    expect(await position(t)).toBe(String(network.jetstreamV2.seq));
  });
  expect(await indexOf(t)).toEqual(expected);
}

const position = (t: TestApp): Promise<string | undefined> =>
  t.app.records.pipeline.position(`jetstream-v2:${new URL(network.jetstreamV2.url).host}`);

const connected = (count = 1): Promise<void> =>
  eventually(() => expect(network.jetstreamV2.clients).toBe(count));

const types = (t: TestApp): string[] => t.log.map(({ type }) => type);
const eventsOf = (t: TestApp, type: string) => t.log.filter((event) => event.type === type);

/** Seqs of what a reader that wants notes gets. */
function wantedSeqs(after: number): number[] {
  return published.flatMap((event, i) =>
    i + 1 > after && (event.kind !== "commit" || event.commit.collection === note) ? [i + 1] : [],
  );
}

function refuseUpgrades(rule: Partial<FaultRule> = {}): () => void {
  return network.faults.add({ service: "jetstream-v2", method: socket, status: 503, ...rule });
}

describe.each(databases())("on $name", (subject) => {
  test("after an outage longer than the look-back nothing is lost, and nothing comes twice", async () => {
    const { url: database, drop } = await subject.open();
    const { plugin, seqs } = recorder();
    {
      await using t = await testApp(v2(), { database, besides: [plugin] });
      await connected();
      publish();
      await converged(t);
      const admit = refuseUpgrades();
      network.jetstreamV2.disconnect();
      for (let i = 0; i < 4; i++) {
        publish();
        network.jetstreamV2.seal();
      }
      seal();
      publish();
      admit();
      await converged(t);
      publish();
      await converged(t);
      expect(seqs).toEqual(wantedSeqs(0));
      expect(eventsOf(t, "firehose.sweep_finished")).toMatchObject([
        { detail: { afterSeq: 600, throughSeq: 3050, tipSeq: 3050 } },
      ]);
      expect(types(t)).not.toContain("firehose.gap");
    }
    await drop();
  });
});

test("the first start is live, and a restart goes on at the seq after the last", async () => {
  const database = newFile();
  publish();
  {
    await using t = await testApp(v2(), { database });
    await connected();
    publish();
    await converged(t, 600);
  }
  publish();
  const { plugin, seqs } = recorder();
  await using t = await testApp(v2(), { database, besides: [plugin] });
  await converged(t, 600);
  expect(seqs).toEqual(wantedSeqs(1200));
  expect(types(t)).not.toContain("firehose.sweep_started");
});

test("a process that ends in the middle of a sweep goes on there", async () => {
  const database = newFile();
  const first = recorder();
  {
    await using t = await testApp(v2(), { database, besides: [first.plugin] });
    await connected();
    publish();
    await converged(t);
  }
  network.jetstreamV2.seal();
  for (let i = 0; i < 3; i++) {
    publish();
    network.jetstreamV2.seal();
  }
  seal();
  const method = (name: string): Partial<FaultRule> => ({
    service: "jetstream-v2",
    method: `network.bsky.jetstream.${name}`,
  });
  // The third of those breaks in its middle, for as long as the first process lives.
  const { store } = network.jetstreamV2;
  const half = Math.floor((store.segments[3]?.bytes.length ?? 0) / 2);
  const repairs = [
    network.faults.add({ ...method("getSegment"), times: 2 }),
    network.faults.add({ ...method("getSegment"), damageAt: half }),
    network.faults.add({ ...method("getBlock"), damageAt: 20 }),
  ];
  const second = recorder();
  {
    await using t = await testApp(v2(), { database, besides: [second.plugin] });
    await eventually(() =>
      expect(eventsOf(t, "jetstream-v2.disconnected").at(-1)?.detail["reason"]).toContain("block "),
    );
  }
  for (const repair of repairs) repair();
  const third = recorder();
  await using t = await testApp(v2(), { database, besides: [third.plugin] });
  await converged(t);
  expect(second.seqs.at(-1)).toBeGreaterThan(1800);
  expect(second.seqs.at(-1)).toBeLessThan(2400);
  expect([...first.seqs, ...second.seqs, ...third.seqs]).toEqual(wantedSeqs(0));
});

test("a sweep that fails goes on where it failed", async () => {
  const { plugin, seqs } = recorder();
  await using t = await testApp(v2(), { besides: [plugin] });
  await connected();
  publish();
  await converged(t);
  const admit = refuseUpgrades();
  network.jetstreamV2.disconnect();
  network.jetstreamV2.plan.wholeSegmentShare = 2;
  for (let i = 0; i < 2; i++) publish();
  seal();
  const method = "network.bsky.jetstream.getBlock";
  network.faults.add({ service: "jetstream-v2", method, times: 12 });
  const repair = network.faults.add({ service: "jetstream-v2", method, damageAt: 20 });
  admit();
  await eventually(() => {
    const failures = eventsOf(t, "jetstream-v2.disconnected").map(({ detail }) => detail["reason"]);
    expect(failures).toContainEqual(expect.stringContaining("cannot be decompressed"));
  });
  repair();
  await converged(t);
  expect(seqs).toEqual(wantedSeqs(0));
});

test("what a deleted account or a repo that was reset no longer has is gone", async () => {
  await using t = await testApp(v2());
  await connected();
  const { jetstreamV2 } = network;
  const at = (n: number): number => 1.77e15 + n * 1e6;
  const create = (did: string, rkey: string, n: number): void =>
    void jetstreamV2.publish({
      did,
      time_us: at(n),
      kind: "commit",
      commit: {
        rev: tidAt(at(n), 0),
        operation: "create",
        collection: note,
        rkey,
        record: { $type: note, n },
      },
    });
  const reset = (n: number, ...rkeys: string[]): void =>
    jetstreamV2.resync(
      { did: alice, rev: tidAt(at(n), 0), timeUs: at(n) },
      rkeys.map((rkey) => ({ collection: note, rkey, record: { $type: note, n } })),
    );
  for (const rkey of ["stays", "goes", "later"]) create(alice, rkey, 1);
  create(bob, "gone", 1);
  await eventually(async () => expect((await indexOf(t)).size).toBe(4));
  reset(5, "stays", "later");
  await eventually(async () => expect(await t.stored(noteUri("goes"))).toBeUndefined());
  expect(await t.stored(noteUri("stays"))).toEqual({ $type: note, n: 5 });
  const admit = refuseUpgrades();
  jetstreamV2.disconnect();
  // Late news of what is older than the reset, a second reset, and a deletion: of the archive alone.
  create(alice, "goes", 2);
  create(alice, "new", 6);
  reset(7, "new", "stays");
  const time = new Date(at(8) / 1000).toISOString();
  jetstreamV2.publish({
    did: bob,
    time_us: at(8),
    kind: "account",
    account: { did: bob, seq: 1, time, active: false, status: "deleted" },
  });
  create(bob, "back", 9);
  jetstreamV2.seal();
  jetstreamV2.lookBackMs = 0.001;
  create(alice, "last", 10);
  jetstreamV2.seal();
  admit();
  await eventually(async () => expect(await t.stored(noteUri("last"))).toBeDefined());
  expect([...(await indexOf(t)).keys()].toSorted()).toEqual(
    [noteUri("last"), noteUri("new"), noteUri("stays"), noteUri("back", bob)].toSorted(),
  );
  expect(await t.stored(noteUri("stays"))).toEqual({ $type: note, n: 7 });
});

test("a server that closes, breaks and repeats itself gives the same index in the end", async () => {
  const rule = { service: "jetstream-v2", method: socket } as const;
  network.faults.add({ ...rule, times: 3, socket: { disconnectAfter: 30, duplicate: 0.2 } });
  network.faults.add({ ...rule, times: 3, socket: { closeAfter: 20 } });
  const { plugin, seqs } = recorder();
  await using t = await testApp(v2(), { besides: [plugin] });
  await connected();
  publish({ events: 299 });
  await converged(t);
  expect(seqs).toEqual(wantedSeqs(0));
  expect(await t.metrics()).toContain("happyview_firehose_reconnects_total 6");
});

test("a time from before the first event ever is a place, too", async () => {
  await using t = await testApp(v2());
  await connected();
  const admit = refuseUpgrades();
  network.jetstreamV2.disconnect();
  publish();
  network.jetstreamV2.seal();
  seal();
  admit();
  await converged(t);
  expect(eventsOf(t, "firehose.sweep_finished")).toHaveLength(1);
});

describe("compression", () => {
  test("is used where the server has a dictionary", async () => {
    await using t = await testApp(v2());
    await connected();
    publish();
    await converged(t);
    const bytes = Number(/received_bytes_total (\d+)/.exec(await t.metrics())?.[1]);
    const plain = published.filter((event) => event.kind !== "commit" || event.commit.collection === note);
    expect(bytes).toBeLessThan(JSON.stringify(plain).length / 2);
  });

  test("is given up where the server refuses its own dictionary", async () => {
    network.jetstreamV2.refusesDictionary = true;
    await using t = await testApp(v2());
    await connected();
    publish();
    await converged(t);
    expect(types(t).slice(0, 2)).toEqual(["jetstream-v2.disconnected", "jetstream-v2.connected"]);
  });

  test.each([{ status: 500 }, { damageAt: 0 }, { damageAt: 200 }])(
    "is no reason to lose anything where the dictionary cannot be had: %o",
    async (fault) => {
      network.faults.add({
        service: "jetstream-v2",
        method: "network.bsky.jetstream.getZstdDictionary",
        ...fault,
      });
      const { plugin, seqs } = recorder();
      await using t = await testApp(v2(), { besides: [plugin] });
      await connected();
      publish();
      await converged(t);
      expect(seqs).toEqual(wantedSeqs(0));
    },
  );
});

test("a frame that cannot be read does not stop the stream, the server's farewell ends the connection", async () => {
  await using t = await testApp(v2());
  await connected();
  const { jetstreamV2 } = network;
  const message = (payload: unknown): string => JSON.stringify({ $type: "message", payload });
  for (const frame of ["{", "[]", '{"kind":"commit"}', message({ $type: `${socket}#commit`, seq: 0 })])
    jetstreamV2.raw(frame);
  jetstreamV2.raw('{"$type":"novelty"}');
  jetstreamV2.raw(message({ $type: `${socket}#novelty` }));
  publish({ events: 49 });
  await converged(t);
  const metrics = await t.metrics();
  expect(metrics).toContain("happyview_firehose_malformed_total 4");
  expect(metrics).toContain('happyview_firehose_events_total{kind="other"} 2');
  jetstreamV2.raw('{"$type":"error","error":"ConsumerTooSlow","message":"resume at 7"}');
  await eventually(() =>
    expect(eventsOf(t, "jetstream-v2.disconnected").at(-1)?.detail["reason"]).toContain(
      "ConsumerTooSlow resume at 7",
    ),
  );
  publish({ events: 49 });
  await converged(t);
});

test("another filter means another connection, from the same place on", async () => {
  await using t = await testApp(v2());
  await connected();
  publish({ accounts: 0, collections: [note] });
  await converged(t);
  await t.track(other);
  await eventually(() => expect(eventsOf(t, "jetstream-v2.connected")).toHaveLength(2));
  publish({ accounts: 0, collections: [other] });
  await eventually(async () =>
    expect([...(await indexOf(t)).keys()].some((uri) => uri.includes(`/${other}/`))).toBe(true),
  );
});

describe("without what it needs", () => {
  test("a server without an archive costs a gap, which is told", async () => {
    await using t = await testApp(v2());
    await connected();
    publish();
    await converged(t);
    network.jetstreamV2.archiveKey = "secret";
    const admit = refuseUpgrades();
    network.jetstreamV2.disconnect();
    publish();
    network.jetstreamV2.seal();
    seal();
    const [kept] = wantedSeqs(published.length - 50);
    publish();
    admit();
    await eventually(async () => expect(await position(t)).toBe(String(network.jetstreamV2.seq)));
    expect(eventsOf(t, "firehose.gap")).toMatchObject([
      { detail: { from: "600", to: String(kept), reason: expect.stringContaining("401") } },
    ]);
    network.jetstreamV2.disconnect();
    publish();
    await eventually(async () => expect(await position(t)).toBe(String(network.jetstreamV2.seq)));
    expect(eventsOf(t, "firehose.gap")).toHaveLength(1);
  });

  test("a key opens the archive", async () => {
    network.jetstreamV2.archiveKey = "secret";
    await using t = await testApp(v2({ archiveKey: "secret" }));
    await connected();
    publish();
    await converged(t);
    const admit = refuseUpgrades();
    network.jetstreamV2.disconnect();
    publish();
    seal();
    admit();
    await converged(t);
    expect(types(t)).not.toContain("firehose.gap");
  });

  test("an archive that is away is waited for", async () => {
    await using t = await testApp(v2());
    await connected();
    publish();
    await converged(t);
    const admit = refuseUpgrades();
    network.jetstreamV2.disconnect();
    publish();
    seal();
    network.faults.add({
      service: "jetstream-v2",
      method: "network.bsky.jetstream.planSnapshot",
      status: 503,
      headers: { "retry-after": "0" },
      times: 14,
    });
    admit();
    await converged(t);
    expect(types(t)).not.toContain("firehose.gap");
  });

  test("a server without the v2 socket is read through the old one", async () => {
    await using t = await testApp(v2({ url: network.jetstreamUrl }));
    await eventually(() => expect(network.jetstream.clients).toBe(1));
    const account = await network.createAccount();
    await account.create(note, { text: "hello" }, "one");
    await eventually(async () => expect(await t.stored(noteUri("one", account.did))).toBeDefined());
    expect((await t.ready()).stream.detail).toMatchObject({ source: "jetstream", connected: true });
  });
});

test("a server that has begun anew is noticed by its numbers, and read by time", async () => {
  const port = Number(new URL(network.jetstreamV2.url).port);
  await using t = await testApp(v2({ overlapMs: 60_000 }));
  await connected();
  publish({ accounts: 0 });
  await converged(t);
  const before = await indexOf(t);
  await network.jetstreamV2.close();
  const faults = createFaults(createPrng("anew"));
  const anew = await startJetstreamV2({ faults, prng: createPrng("anew"), port });
  try {
    for (let i = 0; i < 40; i++)
      anew.publish({
        did: alice,
        time_us: Date.now() * 1000,
        kind: "commit",
        commit: {
          rev: tidAt(Date.now() * 1000 + i, 0),
          operation: "create",
          collection: note,
          rkey: `anew${i}`,
          record: { $type: note, i },
        },
      });
    // The first connection goes to what looks like the tip, and only an event shows where that is.
    await eventually(async () => {
      anew.publish({
        did: bob,
        time_us: Date.now() * 1000,
        kind: "identity",
        identity: { did: bob, seq: 1, time: new Date().toISOString() },
      });
      expect(await t.stored(noteUri("anew0"))).toBeDefined();
    });
    await eventually(async () => expect((await indexOf(t)).size).toBe(before.size + 40));
    expect(eventsOf(t, "jetstream-v2.disconnected").map(({ detail }) => detail["reason"])).toContainEqual(
      expect.stringContaining("it has begun anew"),
    );
    expect(Number(await position(t))).toBeLessThan(600);
  } finally {
    await anew.close();
  }
});

test("what it takes for a source", async () => {
  await using t = await testApp(v2());
  await eventually(async () =>
    expect((await t.ready()).stream.detail).toMatchObject({
      source: "jetstream-v2",
      connected: true,
      url: expect.stringContaining(`/xrpc/${socket}`),
    }),
  );
});
