import { Secp256k1Keypair } from "@atproto/crypto";
import { describe, expect, it } from "vitest";
import { signLabel } from "../../../playground/network/labeler.ts";
import { errorFrame } from "../../../playground/network/frames.ts";
import { connect } from "../../../core/db/database.ts";
import { databases } from "../../setup/databases.ts";
import { author, createAtmosphere, eventually, start, uriOf } from "./_bench.ts";

const at = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, "0")}.000Z`;

describe.each(databases())("streams of labelers on $name", (subject) => {
  it("reads a labeler's whole history and goes on, of records and accounts", async () => {
    const network = await createAtmosphere();
    const labeler = await network.createLabeler();
    await labeler.emit({ uri: uriOf("a"), val: "spam" }, { uri: author, val: "bot" });
    const bench = await start(subject, { network });
    await bench.add(labeler);
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a spam", `${author} bot`].toSorted());
    await labeler.emit({
      uri: uriOf("b"),
      val: "rude",
      cid: "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454",
    });
    await bench.reads(labeler);
    expect((await bench.labels()).find(({ val }) => val === "rude")).toMatchObject({
      src: labeler.did,
      uri: uriOf("b"),
      cid: expect.stringMatching(/^bafy/),
      exp: null,
    });
    expect(await bench.metrics()).toContain("happyview_labelers_connected 1");
    expect(bench.events.map(({ type }) => type)).toEqual(["labeler.added", "labeler.connected"]);
  });

  it("takes away what is negated, and does not let an older label come back", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    const spam = { uri: uriOf("a"), val: "spam" };
    await labeler.emit({ ...spam, cts: at(1) }, { uri: uriOf("b"), val: "spam", cts: at(1) });
    await labeler.emit({ ...spam, cts: at(3), neg: true });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["b spam"]);
    await labeler.emit({ ...spam, cts: at(2) });
    // The same moment in another zone, and with more digits.
    await labeler.emit({ ...spam, cts: "2026-01-01T02:00:02.999999+02:00" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["b spam"]);
    await labeler.emit({ ...spam, cts: at(4) });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a spam", "b spam"]);
    expect(await bench.app.db.all("SELECT * FROM happyview_ended_labels")).toEqual([]);
  });

  it("lets the newer of two versions win, in whatever order and message they come", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    const spam = { uri: uriOf("a"), val: "spam" };
    await labeler.emit({ ...spam, cts: at(5), exp: "2999-01-01T00:00:00Z" }, { ...spam, cts: at(4) });
    await labeler.emit({ ...spam, cts: at(3), neg: true });
    await bench.reads(labeler);
    expect(await bench.labels()).toMatchObject([{ cts: at(5), exp: "2999-01-01T00:00:00.000+00:00" }]);
    // Of one moment the later message counts.
    await labeler.emit({ ...spam, cts: at(5), neg: true });
    await bench.reads(labeler);
    expect(await bench.labels()).toEqual([]);
  });

  it("refuses what is not signed by the labeler, is another's, or is no label", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    const base = { ver: 1, src: labeler.did, val: "x", cts: at(1) };
    const other = await Secp256k1Keypair.create();
    const signed = await signLabel({ ...base, uri: uriOf("changed") }, labeler.keypair);
    labeler.emitSigned(
      await signLabel({ ...base, uri: uriOf("forged") }, other),
      { ...base, uri: uriOf("unsigned") },
      { ...signed, val: "y" },
      await signLabel({ ...base, uri: uriOf("foreign"), src: author }, labeler.keypair),
      await signLabel({ ...base, uri: uriOf("old"), ver: 0 }, labeler.keypair),
      await signLabel({ ...base, uri: uriOf("timeless"), cts: "yesterday" }, labeler.keypair),
      await signLabel({ ...base, uri: uriOf("x".repeat(3000)) }, labeler.keypair),
      { seq: 1 },
    );
    await labeler.emit({ uri: uriOf("right"), val: "x" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["right x"]);
    expect(await bench.metrics()).toContain('happyview_labelers_labels_total{outcome="refused"} 8');
    await bench.app.close();
    // One entry at once, and one for all others.
    expect(bench.events.filter(({ type }) => type === "labeler.labels_refused")).toMatchObject([
      { severity: "warn", subject: labeler.did, detail: { count: 1 } },
      { severity: "warn", subject: labeler.did, detail: { count: 7 } },
    ]);
  });

  it("checks with a new key once the document names it", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "old-key" });
    await bench.reads(labeler);
    await labeler.rotateKey();
    await labeler.emit({ uri: uriOf("b"), val: "new-key" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a old-key", "b new-key"]);
  });

  it("takes no other key for that of labels", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    labeler.account.announceLabeler(undefined);
    await bench.add(labeler);
    await eventually(() =>
      expect(bench.events.find(({ type }) => type === "labeler.disconnected")?.detail["reason"]).toContain(
        "no key #atproto_label",
      ),
    );
    expect(labeler.clients).toBe(0);
  });

  it("waits for a directory that is away, and loses nothing", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    await bench.reads(labeler);
    bench.network.faults.add({ service: "plc", status: 503 });
    await labeler.rotateKey();
    const asked: string[] = [];
    bench.network.faults.watch(({ service }) => void asked.push(service));
    await labeler.emit({ uri: uriOf("b"), val: "two" });
    await eventually(() => expect(asked.filter((service) => service === "plc").length).toBeGreaterThan(1));
    expect(await bench.shown()).toEqual(["a one"]);
    bench.network.faults.clear();
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a one", "b two"]);
  });

  it("goes on where it was after cut connections, pauses and restarts", async () => {
    const { url, drop } = await subject.open();
    const shared = { ...subject, open: async () => ({ url, drop: async () => {} }) };
    const network = await createAtmosphere();
    const labeler = await network.createLabeler();
    const cursors: (string | null)[] = [];
    network.faults.watch(({ method, params }) => {
      if (method === "com.atproto.label.subscribeLabels") cursors.push(params.get("cursor"));
    });
    const first = await start(shared, { network });
    await first.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    await first.reads(labeler);
    labeler.disconnect();
    await labeler.emit({ uri: uriOf("b"), val: "two" });
    await first.reads(labeler);

    expect((await first.admin("PATCH", `/${labeler.did}`, { status: "paused" })).status).toBe(204);
    await eventually(() => expect(labeler.clients).toBe(0));
    await labeler.emit({ uri: uriOf("c"), val: "three" });
    expect((await first.subscriptions())[0]).toMatchObject({ status: "paused", cursor: 2 });
    await first.add(labeler);
    await first.reads(labeler);
    await first.app.close();

    await labeler.emit({ uri: uriOf("d"), val: "four" });
    const second = await start(shared, { network });
    await second.reads(labeler);
    expect(await second.shown()).toEqual(["a one", "b two", "c three", "d four"]);
    expect(cursors).toEqual(["0", "1", "2", "3"]);
    await second.app.close();
    await drop();
  });

  it("reads a stream that is cut and sent twice to the same end", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    const expected = new Map<string, boolean>();
    for (let i = 0; i < 240; i++) {
      const uri = uriOf(`k${(i * 7) % 60}`);
      const isNegation = i % 3 === 0;
      expected.set(uri, !isNegation);
      await labeler.emit({ uri, val: "v", ...(isNegation ? { neg: true } : {}) });
    }
    for (let i = 0; i < 8; i++)
      bench.network.faults.add({
        service: "labeler",
        times: 1,
        socket: { disconnectAfter: 15 + i * 6, duplicate: 0.2 },
      });
    await bench.add(labeler);
    await bench.reads(labeler);
    const alive = [...expected].filter(([, isAlive]) => isAlive).map(([uri]) => uri);
    expect((await bench.labels()).map(({ uri }) => uri)).toEqual(alive.toSorted());
  });

  it("skips a frame that cannot be read, and does not wait for a labeler that has nothing", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await eventually(() => expect(labeler.clients).toBe(1));
    labeler.raw(Buffer.from("no frame"));
    labeler.raw(Buffer.alloc(6 * 1024 * 1024));
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a one"]);
    expect(await bench.metrics()).toContain('happyview_labelers_labels_total{outcome="refused"} 2');
  });

  it("knows what it has of a labeler's labels", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    const silent = await bench.network.createLabeler();
    await labeler.emit({ uri: uriOf("a"), val: "one", cts: at(1) });
    await bench.add(labeler, silent);
    await eventually(async () => expect(await bench.historyOf(labeler)).toBe("complete"));
    await eventually(async () => expect(await bench.historyOf(silent)).toBe("complete"));

    // Messages that were forgotten before they were read: it says so, and what is missing can be asked for by URI.
    await bench.admin("PATCH", `/${labeler.did}`, { status: "paused" });
    await labeler.emit({ uri: uriOf("b"), val: "two" });
    await labeler.emit({ uri: uriOf("c"), val: "three" });
    labeler.forget(2);
    await bench.add(labeler);
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a one", "c three"]);
    expect(await bench.historyOf(labeler)).toBe("partial");
    expect(bench.events.find(({ type }) => type === "labeler.gap")).toMatchObject({ subject: labeler.did });
  });

  it("knows that it missed messages also where none is left", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    labeler.forget(1);
    await bench.add(labeler);
    await eventually(async () => expect(await bench.historyOf(labeler)).toBe("partial"));
    await labeler.emit({ uri: uriOf("b"), val: "two" });
    await bench.reads(labeler);
    expect(await bench.historyOf(labeler)).toBe("partial");
  });

  it("reads a labeler that began anew from its first message", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    for (const rkey of ["a", "b", "c"]) await labeler.emit({ uri: uriOf(rkey), val: "one" });
    await bench.reads(labeler);
    labeler.restart();
    await labeler.emit({ uri: uriOf("d"), val: "two" });
    await bench.reads(labeler);
    expect(await bench.shown()).toEqual(["a one", "b one", "c one", "d two"]);
    expect(bench.events.find(({ type }) => type === "labeler.started_over")).toMatchObject({
      severity: "warn",
      subject: labeler.did,
      detail: { cursor: 3 },
    });
  });

  it("tells of an outage once, and connects when the labeler is back", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    await bench.reads(labeler);
    const stop = bench.network.faults.add({ service: "labeler", status: 503 });
    labeler.raw(errorFrame("ConsumerTooSlow", "read faster"));
    let attempts = 0;
    bench.network.faults.watch(({ service }) => void (attempts += service === "labeler" ? 1 : 0));
    await eventually(() => expect(attempts).toBeGreaterThan(2));
    stop();
    await labeler.emit({ uri: uriOf("b"), val: "two" });
    await bench.reads(labeler);
    const told = bench.events.filter(({ type }) => /connected/.test(type));
    expect(told).toMatchObject([
      { type: "labeler.connected", severity: "info", detail: { did: labeler.did } },
      {
        type: "labeler.disconnected",
        severity: "warn",
        subject: labeler.did,
        detail: { did: labeler.did, last_seq: 1, reason: expect.stringContaining("ConsumerTooSlow") },
      },
      { type: "labeler.connected" },
    ]);
    const ready = (await (await bench.request("/health/ready")).json()) as {
      checks: Record<string, unknown>;
    };
    expect(ready.checks["labelers"]).toEqual({ ok: true, detail: { read: 1 } });
  });

  it("follows a labeler that moved", async () => {
    const bench = await start(subject);
    const labeler = await bench.network.createLabeler();
    const { url } = labeler;
    labeler.account.announceLabeler({ url: "http://127.0.0.1:9", key: labeler.keypair.did() });
    await bench.add(labeler);
    await eventually(() => expect(bench.events.map(({ type }) => type)).toContain("labeler.disconnected"));
    labeler.account.announceLabeler({ url, key: labeler.keypair.did() });
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    await bench.reads(labeler);
  }, 40_000);

  it("stores nothing more of a labeler that was removed by another process", async () => {
    const { url, drop } = await subject.open();
    const bench = await start(
      { ...subject, open: async () => ({ url, drop: async () => {} }) },
      {
        options: { lookEveryMs: 60_000 },
      },
    );
    const labeler = await bench.network.createLabeler();
    await bench.add(labeler);
    await labeler.emit({ uri: uriOf("a"), val: "one" });
    await bench.reads(labeler);
    const other = await connect({ url, maxConnections: 1 });
    await other.run("UPDATE happyview_labeler_subscriptions SET removed_at = ?", [at(1)]);
    await other.close();
    await labeler.emit({ uri: uriOf("b"), val: "two" });
    await eventually(() => expect(bench.events.map(({ type }) => type)).toContain("labeler.disconnected"));
    expect(await bench.shown()).toEqual(["a one"]);
    await bench.app.close();
    await drop();
  });
});
