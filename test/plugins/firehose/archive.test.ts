import { createHash } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { tidAt } from "../../../playground/network/clock.ts";
import type { JetstreamEvent } from "../../../playground/network/event.ts";
import { generateEvents } from "../../../playground/network/generate.ts";
import { encodeBlock, rowKind, type Row } from "../../../playground/network/jetstream-v2-segment.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { runAhead } from "../../../plugins/firehose/archive/ahead.ts";
import { createArchive, type Archive, type Stretch } from "../../../plugins/firehose/archive/archive.ts";
import { readBlock, unpackBlock } from "../../../plugins/firehose/archive/block.ts";
import { createArchiveHttp, type ArchiveHttpParts } from "../../../plugins/firehose/archive/http.ts";
import { alice, bob, note } from "./fixture.ts";

const other = "com.example.other";
const signal = new AbortController().signal;
const everything = { afterSeq: 0, signal };

let network: Network;
beforeEach(async () => {
  network = await createNetwork();
  network.jetstreamV2.rowsPerBlock = 50;
});
afterEach(() => network.close());

/** Publishes what an index would see, and seals it in segments of 500 events, the last of which stays open. */
function publish(options: Partial<Parameters<typeof generateEvents>[0]> = {}): JetstreamEvent[] {
  const events = [
    ...generateEvents({ events: 2300, dids: 40, updates: 0.2, deletes: 0.1, accounts: 0.01, ...options }),
  ];
  for (const [i, event] of events.entries()) {
    network.jetstreamV2.publish(event);
    if (i % 500 === 499) network.jetstreamV2.seal();
  }
  return events;
}

function archiveOf(
  parts: Partial<ArchiveHttpParts & { onUnreadable: (reason: string) => void }> = {},
): Archive {
  return createArchive({ base: network.jetstreamV2.url, random: () => 0, maxWaitMs: 1, ...parts });
}

async function all(sweep: AsyncIterable<Stretch>): Promise<Stretch[]> {
  const stretches: Stretch[] = [];
  for await (const stretch of sweep) stretches.push(stretch);
  return stretches;
}

/** Bytes in buffers that something still holds. */
function buffered(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().arrayBuffers;
}

const seqsOf = (stretches: readonly Stretch[]): number[] =>
  stretches.flatMap(({ events }) => events.map(({ seq }) => seq));

/** Requests of a method, and what else a test wants to happen at one. */
function watchedFetch(
  react: (name: string, init: RequestInit, count: number) => Response | void = () => {},
): {
  fetch: typeof fetch;
  count: (name: string) => number;
} {
  const counts = new Map<string, number>();
  return {
    count: (name) => counts.get(name) ?? 0,
    fetch: async (url, init = {}) => {
      const name = new URL(String(url)).pathname.split(".").at(-1) ?? "";
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return react(name, init, counts.get(name) ?? 0) ?? fetch(url, init);
    },
  };
}

describe("a sweep", () => {
  test("gives all that is sealed, in order, as it was published", async () => {
    const events = publish();
    const stretches = await all(archiveOf().sweep(everything));
    const found = stretches.flatMap((stretch) => stretch.events);
    expect(seqsOf(stretches)).toEqual(events.slice(0, 2000).map((_, i) => i + 1));
    expect(stretches.at(-1)).toMatchObject({
      throughSeq: 2000,
      tipSeq: 2000,
      totals: { rows: 2000, events: 2000 },
    });
    for (const [i, { event, witnessedUs }] of found.entries()) {
      const source = events[i];
      expect(witnessedUs).toBe(source?.time_us);
      if (source?.kind !== "commit") {
        expect(event).toMatchObject({ kind: source?.kind, did: source?.did });
        continue;
      }
      const { operation: action, record, cid = "", ...commit } = source.commit;
      expect(event).toMatchObject({ kind: "commit", action, did: source.did, ...commit, cid });
      if (event.kind === "commit") expect(event.record).toEqual(record);
    }
  });

  test("leaves out what is before its beginning and after its end", async () => {
    publish();
    const stretches = await all(archiveOf().sweep({ ...everything, afterSeq: 733, throughSeq: 1466 }));
    expect(seqsOf(stretches)).toEqual(Array.from({ length: 733 }, (_, i) => 734 + i));
    expect(stretches.at(-1)?.throughSeq).toBe(1466);
    expect(await all(archiveOf().sweep({ ...everything, afterSeq: 2000 }))).toEqual([]);
    expect(await all(archiveOf().sweep({ ...everything, afterSeq: 2200 }))).toEqual([]);
  });

  test("of one collection fetches the blocks that hold it or a marker, and gives nothing else", async () => {
    const events = publish({ accounts: 0.002, collections: [other] });
    // Two blocks of the third segment hold a record of ours.
    for (const event of generateEvents({ events: 60, collections: [note] }))
      network.jetstreamV2.publish(event);
    network.jetstreamV2.seal();
    for (const event of generateEvents({ events: 400, collections: [other] }))
      network.jetstreamV2.publish(event);
    network.jetstreamV2.seal();
    const watch = watchedFetch();
    const stretches = await all(archiveOf(watch).sweep({ ...everything, collections: [note] }));
    const { rows } = network.jetstreamV2;
    const wanted = rows.filter(({ kind, collection }) => kind > rowKind.delete || collection === note);
    expect(seqsOf(stretches)).toEqual(wanted.map(({ seq }) => seq));
    expect(wanted.length).toBeGreaterThan(60);
    expect(stretches.at(-1)).toMatchObject({ throughSeq: rows.length, totals: { events: wanted.length } });
    expect(watch.count("getBlock")).toBeGreaterThan(0);
    expect(stretches.at(-1)?.totals.rows).toBeLessThan(rows.length / 2);
    expect(events.length).toBe(2300);

    const commits = { ...everything, collections: [note], kinds: ["commit"] as const };
    const only = await all(archiveOf().sweep(commits));
    expect(seqsOf(only)).toEqual(rows.filter(({ collection }) => collection === note).map(({ seq }) => seq));
    expect(only.at(-1)?.totals.rows).toBeLessThan(stretches.at(-1)?.totals.rows ?? 0);
  });

  test("of some accounts gives theirs alone", async () => {
    const events = publish();
    const did = events[0]?.did ?? "";
    const stretches = await all(archiveOf().sweep({ ...everything, dids: [did] }));
    const expected = events.slice(0, 2000).flatMap((event, i) => (event.did === did ? [i + 1] : []));
    expect(seqsOf(stretches)).toEqual(expected);
  });

  test("pages through a long plan, and ends where the archive ended when it began", async () => {
    const events = publish({ collections: [note, other], dids: 3 });
    network.jetstreamV2.plan = { maxEntries: 2, wholeSegmentShare: 2 };
    const watch = watchedFetch();
    const found: number[] = [];
    const stretches = archiveOf(watch).sweep({ ...everything, collections: [note] });
    for await (const stretch of stretches) {
      if (found.length === 0) network.jetstreamV2.seal();
      found.push(...seqsOf([stretch]));
      expect(stretch.tipSeq).toBe(2000);
    }
    const wanted = events.flatMap((event, i) =>
      i < 2000 && (event.kind !== "commit" || event.commit.collection === note) ? [i + 1] : [],
    );
    expect(found).toEqual(wanted);
    expect(watch.count("planSnapshot")).toBeGreaterThan(1);
  });

  test("reads rewritten segments, with blocks that are empty now", async () => {
    const { jetstreamV2 } = network;
    for (let round = 0; round < 3; round++)
      for (const event of generateEvents({
        events: 50,
        dids: [alice],
        seed: round,
        deletes: 0,
        startUs: 1.77e15 + round * 1e6,
      }))
        jetstreamV2.publish(event);
    jetstreamV2.publish(accountEvent(alice, "deleted"));
    jetstreamV2.seal();
    jetstreamV2.compact();
    expect(jetstreamV2.store.segments[0]?.blocks.map(({ rows }) => rows.length)).toContain(0);
    const stretches = await all(archiveOf().sweep(everything));
    const kept = jetstreamV2.store.segments[0]?.blocks.flatMap(({ rows }) => rows.map(({ seq }) => seq));
    expect(seqsOf(stretches)).toEqual(kept);
    expect(stretches.at(-1)?.throughSeq).toBe(151);
  });

  test("tells of accounts, identities, and repos that were read anew", async () => {
    const { jetstreamV2 } = network;
    const rev = tidAt(1.77e15, 0);
    const time = "2026-02-03T04:05:06.000007Z";
    jetstreamV2.publish({
      did: alice,
      time_us: 1,
      kind: "identity",
      identity: { did: alice, handle: "a.test", seq: 1, time },
    });
    jetstreamV2.publish(accountEvent(bob, "takendown"));
    jetstreamV2.resync({ did: alice, rev, timeUs: 3 }, [
      { collection: note, rkey: "one", record: { $type: note } },
    ]);
    jetstreamV2.seal();
    const [stretch] = await all(archiveOf().sweep({ ...everything, collections: [note] }));
    expect(stretch?.events.map(({ event }) => event)).toEqual([
      { kind: "identity", did: alice, handle: "a.test" },
      {
        kind: "account",
        did: bob,
        active: false,
        status: "takendown",
        rev: tidAt(Date.UTC(2026, 1, 1) * 1000, 0),
      },
      { kind: "sync", did: alice, rev },
      expect.objectContaining({ action: "create", did: alice, rkey: "one", rev, record: { $type: note } }),
    ]);
  });

  test("leaves out a row that cannot be read, and says so", async () => {
    const { jetstreamV2 } = network;
    for (const event of generateEvents({ events: 3 })) jetstreamV2.publish(event);
    const row = jetstreamV2.rows[1] as Row;
    row.payload = Buffer.from([0xff]);
    jetstreamV2.seal();
    const reasons: string[] = [];
    const stretches = await all(
      archiveOf({ onUnreadable: (reason) => reasons.push(reason) }).sweep(everything),
    );
    expect(seqsOf(stretches)).toEqual([1, 3]);
    expect(reasons).toEqual([expect.stringContaining(`row 2 of the archive, of ${row.did}`)]);
    expect(stretches.at(-1)?.totals).toMatchObject({ events: 2, unreadable: 1 });
  });

  test("asks the planner of the server before the launch", async () => {
    publish();
    network.jetstreamV2.generation = "preview";
    const watch = watchedFetch();
    const stretches = await all(archiveOf(watch).sweep({ ...everything, kinds: ["account"] }));
    expect(seqsOf(stretches)).toEqual(
      network.jetstreamV2.rows
        .slice(0, 2000)
        .flatMap(({ kind, seq }) => (kind === rowKind.account ? [seq] : [])),
    );
    expect(watch.count("planBackfill")).toBeGreaterThan(0);
  });
});

describe("what goes wrong", () => {
  test("a download that breaks is taken up where it broke", async () => {
    publish();
    const size = network.jetstreamV2.store.segments[0]?.bytes.length ?? 0;
    for (const truncateAfter of [200, size / 3, size / 4])
      network.faults.add({
        service: "jetstream-v2",
        method: nsid("getSegment"),
        truncateAfter: Math.floor(truncateAfter),
        times: 1,
      });
    const ranges: unknown[] = [];
    const watch = watchedFetch((name, { headers }) => {
      if (name === "getSegment") ranges.push({ ...headers }["range" as never]);
    });
    expect(seqsOf(await all(archiveOf(watch).sweep(everything)))).toEqual(first(2000));
    expect(ranges.slice(0, 3)).toEqual([undefined, "bytes=200-", expect.stringMatching(/^bytes=\d{3,}-$/)]);
  });

  test("a segment that is rewritten while it is read begins anew, and no event comes twice", async () => {
    publish();
    network.faults.add({
      service: "jetstream-v2",
      method: nsid("getSegment"),
      truncateAfter: 9000,
      times: 1,
    });
    const watch = watchedFetch((_name, { headers }) => {
      if ({ ...headers }["range" as never] !== undefined) network.jetstreamV2.compact();
    });
    const seqs = seqsOf(await all(archiveOf(watch).sweep(everything)));
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    expect(new Set(seqs).size).toBe(seqs.length);
    const kept = network.jetstreamV2.store.segments.flatMap(({ blocks }) =>
      blocks.flatMap(({ rows }) => rows.map(({ seq }) => seq)),
    );
    expect(seqs).toEqual(expect.arrayContaining(kept));
  });

  test.each(["segment", "blocks"])("a damaged block is fetched once more (%s)", async (mode) => {
    publish();
    if (mode === "blocks") network.jetstreamV2.plan.wholeSegmentShare = 2;
    const method = nsid(mode === "segment" ? "getSegment" : "getBlock");
    network.faults.add({ service: "jetstream-v2", method, damageAt: 400, times: 1 });
    expect(seqsOf(await all(archiveOf().sweep(everything)))).toEqual(first(2000));
  });

  test("before a block that stays damaged it stops, and the next sweep goes on from there", async () => {
    publish();
    const { store } = network.jetstreamV2;
    const offset = blockOffset(store.segments[1]?.bytes, 3) + 20;
    const broken = store.segments[1]?.blocks[3];
    network.faults.add({ service: "jetstream-v2", method: nsid("getSegment"), times: 1 });
    network.faults.add({ service: "jetstream-v2", method: nsid("getSegment"), damageAt: offset, times: 1 });
    const repair = network.faults.add({ service: "jetstream-v2", method: nsid("getBlock"), damageAt: 20 });
    const found: number[] = [];
    let through = 0;
    const failing = (async () => {
      for await (const stretch of archiveOf().sweep(everything)) {
        found.push(...seqsOf([stretch]));
        through = stretch.throughSeq;
      }
    })();
    await expect(failing).rejects.toMatchObject({
      trouble: "corrupt",
      message: expect.stringContaining("block 3 of seg_0000000001"),
    });
    expect(through).toBe((broken?.rows[0]?.seq ?? 0) - 1);
    expect(found).toEqual(first(through));
    repair();
    const rest = await all(archiveOf().sweep({ ...everything, afterSeq: through }));
    expect([...found, ...seqsOf(rest)]).toEqual(first(2000));
  });

  test.each([
    ["another magic", 0],
    ["another version", 12],
    ["another place of the footer", 58],
    ["a block beyond the footer", 259],
  ])("a file with %s is fetched anew, and then refused", async (_, damageAt) => {
    publish();
    const rule = { service: "jetstream-v2", method: nsid("getSegment"), damageAt } as const;
    const once = network.faults.add({ ...rule, times: 1 });
    expect(seqsOf(await all(archiveOf().sweep(everything)))).toEqual(first(2000));
    once();
    network.faults.add(rule);
    await expect(all(archiveOf().sweep(everything))).rejects.toMatchObject({ trouble: "corrupt" });
  });

  test("a server that is not ready is asked again, for some time", async () => {
    publish();
    const rule = { service: "jetstream-v2", status: 503, headers: { "Retry-After": "7" } } as const;
    network.faults.add({ ...rule, times: 5 });
    expect(seqsOf(await all(archiveOf().sweep(everything)))).toEqual(first(2000));
    network.faults.add(rule);
    await expect(all(archiveOf().sweep(everything))).rejects.toMatchObject({
      trouble: "unreachable",
      status: 503,
    });
  });

  test("an archive that wants a key gets it for what needs it, and says so without", async () => {
    publish();
    network.jetstreamV2.archiveKey = "secret";
    await expect(all(archiveOf().sweep(everything))).rejects.toMatchObject({
      trouble: "refused",
      status: 401,
    });
    const told = new Set<string>();
    const watch = watchedFetch((name, { headers }) => {
      if (JSON.stringify(headers).includes("secret")) told.add(name);
    });
    const archive = archiveOf({ ...watch, key: "secret" });
    expect(seqsOf(await all(archive.sweep(everything)))).toEqual(first(2000));
    expect(await archive.startOf({ seq: 700 }, signal)).toBe(700);
    expect(told).toEqual(new Set(["planSnapshot", "getSegment"]));
  });

  test("what is gone when it is to be fetched is planned anew", async () => {
    publish();
    network.jetstreamV2.plan.wholeSegmentShare = 2;
    const gone = (): Response => Response.json({ error: "SegmentNotFound", message: "" }, { status: 404 });
    const once = watchedFetch((name, _, count) => (name === "getBlock" && count === 15 ? gone() : undefined));
    expect(seqsOf(await all(archiveOf(once).sweep(everything)))).toEqual(first(2000));
    const never = watchedFetch((name) => (name === "getBlock" ? gone() : undefined));
    await expect(all(archiveOf(never).sweep(everything))).rejects.toMatchObject({ trouble: "stuck" });
    expect(never.count("planSnapshot")).toBe(5);
  });

  test("a plan that does not go on is no plan, and neither is one of another shape", async () => {
    publish();
    const answers = [
      [{ sealedTipSeq: 2000, plannedThroughSeq: 0, segments: [] }, "stuck"],
      [{ sealedTipSeq: 2000, plannedThroughSeq: -1 }, "corrupt"],
      [{ sealedTipSeq: 2000, plannedThroughSeq: 1, segments: [{ name: "../x" }] }, "corrupt"],
      [
        {
          sealedTipSeq: 9,
          plannedThroughSeq: 9,
          segments: [{ name: "seg_0000000000.jss", mode: "blocks", blocks: [{ first: 2, last: 1 }] }],
        },
        "corrupt",
      ],
    ] as const;
    for (const [answer, trouble] of answers) {
      const watch = watchedFetch((name) => (name === "planSnapshot" ? Response.json(answer) : undefined));
      await expect(all(archiveOf(watch).sweep(everything))).rejects.toMatchObject({ trouble });
    }
  });

  test("it ends when it is told to", async () => {
    publish();
    const stopping = new AbortController();
    const sweep = all(archiveOf().sweep({ afterSeq: 0, signal: stopping.signal }));
    stopping.abort(new Error("enough"));
    await expect(sweep).rejects.toThrow("enough");
  });
});

describe("what is bounded", () => {
  test("more is not read than memory is given for", async () => {
    publish();
    const http = createArchiveHttp({ base: network.jetstreamV2.url });
    const params = { segment: "seg_0000000000.jss", blockIndex: 0 };
    const frame = network.jetstreamV2.store.segments[0]?.blocks[0]?.frame.length ?? 0;
    expect(await http.bytes("getBlock", params, { maxBytes: frame, signal })).toHaveLength(frame);
    await expect(http.bytes("getBlock", params, { maxBytes: frame - 1, signal })).rejects.toMatchObject({
      trouble: "corrupt",
    });
  });

  test.each(["planSnapshot", "getBlock", "getSegment"])(
    "a body of %s that drips without an end is given up, with what came",
    async (method) => {
      publish();
      let asked = 0;
      const watch = watchedFetch((name) => {
        if (name !== method) return undefined;
        asked += 1;
        const drip = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
          await new Promise((soon) => setTimeout(soon, 1));
          controller.enqueue(Buffer.from(" "));
        };
        return new Response(new ReadableStream({ pull: drip }), { headers: { etag: "x" } });
      });
      const collections = method === "getBlock" ? [note] : undefined;
      const sweep = archiveOf({ ...watch, patienceMs: 20, tries: 2 }).sweep({ ...everything, collections });
      await expect(all(sweep)).rejects.toMatchObject({
        trouble: "unreachable",
        message: expect.stringContaining("too slowly"),
      });
      expect(asked).toBeGreaterThan(0);
    },
  );

  test("however many blocks are fetched ahead, few are unpacked ahead", async () => {
    network.jetstreamV2.rowsPerBlock = 1;
    const size = 4_000_000;
    for (let i = 0; i < 12; i++) {
      const record = { $type: note, text: "x".repeat(size) };
      const commit = {
        rev: tidAt(2 ** 50 + i, 0),
        operation: "create",
        collection: note,
        rkey: `r${i}`,
        record,
      } as const;
      network.jetstreamV2.publish({ did: alice, time_us: 2 ** 50 + i, kind: "commit", commit });
    }
    network.jetstreamV2.seal();
    const watch = watchedFetch();
    const before = buffered();
    const sweep = archiveOf(watch).sweep({ ...everything, collections: [note] });
    const { value } = await sweep.next();
    expect(value?.events).toHaveLength(1);
    await vi.waitFor(() => expect(buffered() - before).toBeGreaterThan(size));
    await new Promise((soon) => setTimeout(soon, 200)); // whatever is done ahead is done by now
    expect(buffered() - before).toBeLessThan(4 * size);
    await sweep.return();
  });

  test("a redirect is not followed", async () => {
    network.faults.add({ service: "jetstream-v2", redirect: "http://127.0.0.1:9/" });
    await expect(all(archiveOf().sweep(everything))).rejects.toMatchObject({
      trouble: "refused",
      status: 302,
    });
  });

  test("names that the planner would not take are covered by fewer, and never by none", async () => {
    const bodies: { collections?: string[] }[] = [];
    const watch = watchedFetch((name, { body }) => {
      if (name === "planSnapshot") bodies.push(JSON.parse(String(body)) as {});
    });
    publish({ events: 100, collections: [note, other] });
    network.jetstreamV2.seal();
    const many = Array.from({ length: 150 }, (_, i) => `com.example.other${i}`);
    const stretches = await all(
      archiveOf(watch).sweep({ ...everything, collections: [note, ...many], kinds: ["commit"] }),
    );
    expect(bodies[0]?.collections).toEqual(["com.example.*"]);
    const wanted = network.jetstreamV2.rows.filter(({ collection }) => collection === note);
    expect(seqsOf(stretches)).toEqual(wanted.map(({ seq }) => seq));
    await expect(all(archiveOf().sweep({ ...everything, collections: ["none"] }))).rejects.toThrow(
      "is an NSID",
    );
  });

  test("tasks that run at once, whose results come in order", async () => {
    let running = 0;
    let most = 0;
    async function* tasks(count: number, failAfter?: number): AsyncGenerator<() => Promise<number>> {
      for (let i = 0; i < count; i++) {
        if (i === failAfter) throw new Error("no more tasks");
        yield async () => {
          most = Math.max(most, ++running);
          for (let turn = 0; turn < (i * 7) % 5; turn++) await new Promise((go) => setImmediate(go));
          running -= 1;
          if (i === 20) throw new Error("task 20");
          return i;
        };
      }
    }
    const given = async (count: number, failAfter?: number): Promise<unknown[]> => {
      const results: unknown[] = [];
      try {
        for await (const result of runAhead(tasks(count, failAfter), 4)) results.push(result);
      } catch (error) {
        results.push(String(error));
      }
      return results;
    };
    expect(await given(20)).toEqual([...Array(20).keys()]);
    expect(most).toBe(4);
    expect(await given(20, 3)).toEqual([0, 1, 2, "Error: no more tasks"]);
    expect(await given(30)).toEqual([...Array(20).keys(), "Error: task 20"]);
  });
});

describe("where to begin", () => {
  test("is the seq, where the server is the one that gave it", async () => {
    const events = publish();
    const timeUs = events[699]?.time_us;
    expect(await archiveOf().startOf({ seq: 700, timeUs }, signal)).toBe(700);
    expect(await archiveOf().startOf({ seq: 700 }, signal)).toBe(700);
  });

  test("is what is surely older, where it is another server or only the time is known", async () => {
    const events = publish({ stepUs: 5e6 }); // 2500 seconds a segment
    const timeUs = events[1250]?.time_us ?? 0;
    expect(await archiveOf().startOf({ seq: 200, timeUs }, signal)).toBe(1000);
    expect(await archiveOf().startOf({ timeUs }, signal)).toBe(1000);
    expect(await archiveOf().startOf({ timeUs: 0 }, signal)).toBe(0);
    expect(await archiveOf().startOf({ seq: 99_999, timeUs }, signal)).toBe(1000);
  });
});

describe("a block", () => {
  const wanted = {
    afterSeq: 0,
    throughSeq: Number.MAX_SAFE_INTEGER,
    wantsKind: () => true,
    wantsCollection: () => true,
    wantsDid: () => true,
  };
  const row: Row = {
    seq: 2 ** 40 + 5,
    witnessedAt: 1_770_000_000_000_001,
    indexedAt: 0,
    kind: rowKind.create,
    did: alice,
    collection: note,
    rkey: "key",
    rev: "3lxxxxxxxxxx2",
    payload: Buffer.from([0xa0]),
  };

  test("of no rows has four bytes", () => {
    expect(readBlock(Buffer.alloc(4), wanted)).toEqual({
      count: 0,
      rows: [],
      lastSeq: undefined,
      lastWitnessedUs: undefined,
    });
  });

  test("is refused when its sizes, kinds or order are wrong", () => {
    const body = encodeBlock([row, { ...row, seq: row.seq + 1 }]);
    expect(readBlock(body, wanted)).toMatchObject({ count: 2, lastSeq: row.seq + 1 });
    const many = Buffer.alloc(4);
    many.writeUInt32LE(262_145);
    const bodies = [
      Buffer.alloc(0),
      many,
      body.subarray(0, 40),
      body.subarray(0, -1),
      Buffer.concat([body, Buffer.alloc(1)]),
      encodeBlock([{ ...row, kind: 8 }]),
      encodeBlock([{ ...row, kind: 0 }]),
      encodeBlock([row, row]),
      encodeBlock([{ ...row, seq: 2 ** 53 - 1 }, row]),
    ];
    for (const wrong of bodies) expect(() => readBlock(wrong, wanted)).toThrow(/^a block /);
  });

  test("that would fill the memory is not unpacked", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(1_000_001));
    expect(bomb.length).toBeLessThan(1000);
    expect(await unpackBlock(bomb)).toHaveLength(1_000_001);
    await expect(unpackBlock(bomb, 1_000_000)).rejects.toMatchObject({ trouble: "corrupt" });
  });
});

/** By the layout alone, without anything that the simulator or the reader know (jetstream §4). */
describe("the simulator's file", () => {
  test("has everything where the format says", () => {
    publish({ events: 120 });
    network.jetstreamV2.seal();
    const { bytes, checksum } = network.jetstreamV2.store.segments[0] as { bytes: Buffer; checksum: string };
    const { rows } = network.jetstreamV2;
    expect(bytes.toString("latin1", 0, 4)).toBe("jss0");
    expect(bytes.readBigUInt64LE(4).toString(16).padStart(16, "0")).toBe(checksum);
    expect(bytes.readUInt16LE(12)).toBe(1);
    expect(bytes.readUInt32LE(14)).toBe(3);
    expect(bytes.readUInt32LE(18)).toBe(120);
    expect(bytes.readUInt32LE(22)).toBe(new Set(rows.map(({ did }) => did)).size);
    expect([bytes.readBigUInt64LE(26), bytes.readBigUInt64LE(34)]).toEqual([1n, 120n]);
    expect(bytes.readBigInt64LE(42)).toBe(BigInt(rows[0]?.witnessedAt ?? 0));
    expect(bytes.readBigInt64LE(50)).toBe(BigInt(rows[119]?.witnessedAt ?? 0));
    const [footer, didBloom, blockBlooms, collections, blockIndex] = [58, 66, 74, 82, 90].map((at) =>
      Number(bytes.readBigUInt64LE(at)),
    ) as [number, number, number, number, number];
    expect(blockIndex).toBe(footer);
    expect(didBloom).toBe(footer + 3 * 52);
    expect(blockBlooms).toBe(didBloom + 21 + 64 * Number(bytes.readBigUInt64LE(didBloom + 5)));
    expect(collections).toBe(blockBlooms + 8 + 3 * bytes.readUInt32LE(blockBlooms + 4));
    expect(bytes.subarray(98, 256).every((byte) => byte === 0)).toBe(true);

    let offset = 256;
    let seq = 0;
    for (let i = 0; i < 3; i++) {
      const entry = footer + i * 52;
      const length = Number(bytes.readBigUInt64LE(offset));
      expect(Number(bytes.readBigUInt64LE(entry))).toBe(offset);
      expect(bytes.readUInt32LE(entry + 8)).toBe(length);
      const frame = bytes.subarray(offset + 8, offset + 8 + length);
      expect(frame.readUInt32LE(0)).toBe(0xfd2fb528);
      expect((frame[4] ?? 0) & 4, "the frame has a checksum of its content").toBe(4);
      const body = zstdDecompressSync(frame);
      expect(bytes.readUInt32LE(entry + 12)).toBe(body.length);
      const n = body.readUInt32LE(0);
      expect(bytes.readUInt32LE(entry + 16)).toBe(n);
      expect(Number(bytes.readBigUInt64LE(entry + 20))).toBe(seq + 1);
      // Columns in their order and width: seq, witnessed, indexed, kind, and five lengths.
      const starts = [0, 8, 16, 24, 25, 26, 28, 29, 30, 34].map((width) => 4 + n * width) as number[];
      const lengths = [4, 5, 6, 7, 8].map((k) => {
        const width = ((starts[k + 1] ?? 0) - (starts[k] ?? 0)) / n;
        return Array.from({ length: n }, (_, r) => body.readUIntLE((starts[k] ?? 0) + r * width, width));
      }) as [number[], number[], number[], number[], number[]];
      const sum = (list: number[]): number => list.reduce((a, b) => a + b, 0);
      let blob = starts[9] ?? 0;
      const blobs = lengths.map((list) => (blob += sum(list)) - sum(list));
      expect(blob).toBe(body.length);
      for (let r = 0; r < n; r++) {
        const row = rows[seq++] as Row;
        expect(Number(body.readBigUInt64LE(4 + 8 * r))).toBe(row.seq);
        expect(Number(body.readBigInt64LE((starts[1] ?? 0) + 8 * r))).toBe(row.witnessedAt);
        expect(body[(starts[3] ?? 0) + r]).toBe(row.kind);
        const parts = lengths.map((list, k) => {
          const at = (blobs[k] ?? 0) + sum(list.slice(0, r));
          return body.subarray(at, at + (list[r] ?? 0));
        });
        expect(parts.slice(0, 4).map(String)).toEqual([row.collection, row.did, row.rkey, row.rev]);
        expect(parts[4]).toEqual(Buffer.from(row.payload));
      }
      expect(Number(bytes.readBigUInt64LE(entry + 28))).toBe(seq);
      offset += 8 + length;
    }
    expect(offset).toBe(footer);
    expect(seq).toBe(120);

    const names = bytes.readUInt32LE(collections);
    const maskLength = bytes.readUInt32LE(collections + 8);
    const index = zstdDecompressSync(bytes.subarray(collections + 16));
    expect(bytes.readUInt32LE(collections + 4)).toBe(3);
    expect(maskLength).toBe(Math.ceil(names / 8));
    expect(bytes.readUInt32LE(collections + 12)).toBe(index.length);
    const found: [string, number][] = [];
    let at = 0;
    for (let i = 0; i < names; i++) {
      const length = index.readUInt8(at);
      found.push([index.toString("latin1", at + 5, at + 5 + length), index.readUInt32LE(at + 1)]);
      at += 5 + length;
    }
    const commits = rows.filter(({ kind }) => kind <= rowKind.delete).length;
    expect(new Map(found).get("xyz.statusphere.status")).toBe(commits);
    if (commits < 120) expect(new Map(found).get("$account")).toBe(0);
    expect(index.length).toBe(at + 3 * maskLength);
  });

  test("gives the CID that the repo has", async () => {
    const account = await network.createAccount();
    const { cid, rev } = await account.create(note, { text: "hello" });
    network.jetstreamV2.seal();
    const row = network.jetstreamV2.rows.find(({ collection }) => collection === note);
    expect(
      createHash("sha256")
        .update(row?.payload ?? "")
        .digest("hex"),
    ).toHaveLength(64);
    const found = (await all(archiveOf().sweep({ ...everything, collections: [note] }))).flatMap(
      ({ events }) => events,
    );
    expect(found.at(-1)?.event).toMatchObject({
      did: account.did,
      cid,
      rev,
      record: { $type: note, text: "hello" },
    });
  });
});

function nsid(name: string): string {
  return `network.bsky.jetstream.${name}`;
}

function first(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** Where the length of a block is. */
function blockOffset(bytes: Buffer | undefined, index: number): number {
  const footer = Number(bytes?.readBigUInt64LE(58));
  return Number(bytes?.readBigUInt64LE(footer + 52 * index));
}

function accountEvent(did: string, status: string): JetstreamEvent {
  const time = "2026-02-01T00:00:00.000000Z";
  return { did, time_us: 2, kind: "account", account: { did, seq: 1, time, active: false, status } };
}
