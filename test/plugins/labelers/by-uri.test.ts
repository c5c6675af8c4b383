import { describe, expect, it } from "vitest";
import { isObject } from "../../../core/lexicons/document.ts";
import type { Labeler } from "../../../playground/network/labeler.ts";
import { databases } from "../../setup/databases.ts";
import { createAtmosphere, eventually, start, uriOf, type Bench } from "./_bench.ts";

describe.each(databases())("labels by URI on $name", (subject) => {
  /** A labeler whose first messages are gone, and what it was asked by URI. */
  async function prepare(setup: Parameters<typeof start>[1] = {}) {
    const network = await createAtmosphere();
    const labeler = await network.createLabeler();
    const asked: string[][] = [];
    network.faults.watch(({ service, method, params }) => {
      if (service === "labeler" && method.endsWith("queryLabels")) asked.push(params.getAll("uriPatterns"));
    });
    const forget = async (bench: Bench): Promise<void> => {
      if (labeler.seq === 0) await labeler.emit({ uri: uriOf("first"), val: "first" });
      labeler.forget(labeler.seq);
      await labeler.emit({ uri: uriOf("last"), val: "last" });
      await bench.add(labeler);
      await bench.reads(labeler);
      expect(await bench.historyOf(labeler)).toBe("partial");
    };
    const bench = await start(subject, { network, ...setup });
    return { network, labeler, asked, bench, forget };
  }

  it("come of a labeler that no longer sends its first messages, when a record is indexed", async () => {
    const { labeler, asked, bench, forget, network } = await prepare();
    await labeler.emit({ uri: uriOf("a"), val: "spam" }, { uri: uriOf("a"), val: "rude", neg: true });
    await labeler.emit({ uri: uriOf("b"), val: "spam" });
    await forget(bench);
    expect(await bench.shown()).toEqual(["last last"]);
    // The labeler does not live where its account does, and the PDS knows nothing.
    expect(new URL(labeler.url).host).not.toBe(new URL(network.pds[0]?.url ?? "").host);
    await bench.index("a");
    await eventually(async () => expect(await bench.shown()).toEqual(["a spam", "last last"]));
    expect(asked).toEqual([[uriOf("a")]]);
    expect(await bench.metrics()).toContain('happyview_labelers_by_uri_total{outcome="asked"} 1');
  });

  it("are not asked for where the stream was read from the first message to the newest", async () => {
    const { labeler, asked, bench } = await prepare();
    await labeler.emit({ uri: uriOf("a"), val: "spam" });
    await bench.add(labeler);
    await eventually(async () => expect(await bench.historyOf(labeler)).toBe("complete"));
    await bench.index("a");
    await bench.index("b");
    expect(await bench.shown()).toEqual(["a spam"]);
    await bench.app.close();
    expect(asked).toEqual([]);
  });

  it("come of a labeler that has no stream", async () => {
    const { labeler, bench, network } = await prepare();
    network.faults.add({ service: "labeler", method: "com.atproto.label.subscribeLabels", status: 501 });
    await labeler.emit({ uri: uriOf("a"), val: "spam" });
    await bench.add(labeler);
    await bench.index("a");
    await eventually(async () => expect(await bench.shown()).toEqual(["a spam"]));
  });

  it("are asked for many at once, once for each record", async () => {
    const { labeler, asked, bench, forget, network } = await prepare();
    await forget(bench);
    network.faults.add({ service: "labeler", latencyMs: 100, times: 1 });
    const rkeys = Array.from({ length: 60 }, (_, i) => `k${i}`);
    await labeler.emit(...rkeys.map((rkey) => ({ uri: uriOf(rkey), val: "v" })));
    await bench.reads(labeler);
    await Promise.all(rkeys.map((rkey) => bench.index(rkey)));
    await Promise.all(rkeys.map((rkey) => bench.index(rkey)));
    await eventually(() => expect(new Set(asked.flat()).size).toBe(60));
    expect(Math.max(...asked.map(({ length }) => length))).toBe(25);
  });

  it("are read page by page", async () => {
    const { labeler, bench, forget } = await prepare();
    const vals = Array.from({ length: 300 }, (_, i) => `v${i}`);
    await labeler.emit(...vals.map((val) => ({ uri: uriOf("a"), val })));
    await forget(bench);
    await bench.index("a");
    await eventually(async () => expect(await bench.shown()).toHaveLength(301));
  });

  it("are believed no more than those of the stream, and only about what was asked for", async () => {
    const { labeler, bench, forget, network } = await prepare();
    await labeler.emit({ uri: uriOf("a"), val: "right" }, { uri: uriOf("other"), val: "right" });
    await forget(bench);
    const alter = (label: unknown): unknown[] =>
      isObject(label) && label["uri"] === uriOf("a") ? [label, { ...label, val: "forged" }] : [];
    network.faults.add({
      service: "labeler",
      method: "com.atproto.label.queryLabels",
      lie: async (truth) => {
        const { labels } = JSON.parse(String(truth.body)) as { labels: unknown[] };
        const foreign = await fetch(
          `${labeler.url}/xrpc/com.atproto.label.queryLabels?uriPatterns=${encodeURIComponent(uriOf("other"))}`,
        );
        const others = ((await foreign.json()) as { labels: unknown[] }).labels;
        return { ...truth, body: JSON.stringify({ labels: [...labels.flatMap(alter), ...others, 5, null] }) };
      },
      times: 1,
    });
    await bench.index("a");
    await eventually(async () => expect(await bench.shown()).toEqual(["a right", "last last"]));
  });

  it("do not undo a negation that is as new", async () => {
    const { labeler, bench, forget, network } = await prepare();
    const cts = "2026-01-01T00:00:00Z";
    await labeler.emit({ uri: uriOf("a"), val: "spam", cts });
    const response = await fetch(
      `${labeler.url}/xrpc/com.atproto.label.queryLabels?uriPatterns=${encodeURIComponent(uriOf("a"))}`,
    );
    const body = await response.text();
    await forget(bench);
    await labeler.emit({ uri: uriOf("a"), val: "spam", cts, neg: true });
    await bench.reads(labeler);
    // The answer was on its way when the negation came.
    network.faults.add({ service: "labeler", lie: (truth) => ({ ...truth, body }) });
    await bench.index("a");
    await eventually(async () =>
      expect(await bench.metrics()).toContain('happyview_labelers_by_uri_total{outcome="asked"} 1'),
    );
    expect(await bench.shown()).toEqual(["last last"]);
  });

  it.each<[string, Parameters<Labeler["emit"]>[0] | undefined, object]>([
    ["is overloaded", undefined, { status: 503 }],
    ["asks to wait", undefined, { status: 429, headers: { "Retry-After": "0" } }],
    ["gives no JSON", undefined, { wrongJson: true }],
    ["breaks off", undefined, { truncateAfter: 10 }],
  ])("are asked for again of a labeler that %s", async (_, __, fault) => {
    const { labeler, bench, forget, network } = await prepare();
    await labeler.emit({ uri: uriOf("a"), val: "spam" });
    await forget(bench);
    network.faults.add({ service: "labeler", times: 2, ...fault });
    await bench.index("a");
    await eventually(async () => expect(await bench.shown()).toEqual(["a spam", "last last"]));
  });

  it("are given up where the labeler refuses to give any, and those after them are asked for", async () => {
    const { labeler, bench, forget, network } = await prepare();
    await labeler.emit({ uri: uriOf("a"), val: "spam" }, { uri: uriOf("b"), val: "spam" });
    await forget(bench);
    network.faults.add({ service: "labeler", times: 1, status: 400 });
    await bench.index("a");
    await eventually(async () =>
      expect(await bench.metrics()).toContain('happyview_labelers_by_uri_total{outcome="failed"} 1'),
    );
    await bench.index("b");
    await eventually(async () => expect(await bench.shown()).toEqual(["b spam", "last last"]));
  });

  it("wait in a queue that has an end, and hold up no record", async () => {
    const { labeler, bench, forget, network } = await prepare({ options: { maxWaitingUris: 10 } });
    await forget(bench);
    network.faults.add({ service: "labeler", latencyMs: 20_000 });
    for (let i = 0; i < 40; i++) await bench.index(`k${i}`);
    expect(await bench.metrics()).toMatch(/by_uri_total\{outcome="dropped"\} (2\d|30)/);
    expect(labeler.clients).toBe(1);
  });
});
