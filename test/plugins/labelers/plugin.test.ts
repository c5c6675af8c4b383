import { Secp256k1Keypair } from "@atproto/crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Account } from "../../../playground/network/account.ts";
import { startLabeler, type Labeler } from "../../../playground/network/labeler.ts";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { firehose } from "../../../plugins/firehose/index.ts";
import { labelers } from "../../../plugins/labelers/index.ts";
import { luaScripts } from "../../../plugins/lua-scripts/index.ts";
import { adminHeaders, limitedCaller, limitedHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

const collection = "org.example.post";
const lexicons = [
  {
    id: collection,
    defs: { main: { type: "record", key: "tid", record: { type: "object", properties: {} } } },
  },
  { id: "org.example.list", defs: { main: { type: "query" } } },
].map((document) => ({
  path: `${document.id}.json`,
  name: document.id,
  text: JSON.stringify({ lexicon: 1, ...document }),
}));

describe.each(databases())("labelers on $name", (subject) => {
  let network: Network;
  let labeler: Labeler;
  let alice: Account;
  let running: TestApp;

  async function start(dids: readonly string[] = [], scripts: Record<string, string> = {}): Promise<void> {
    running = await startApp(
      subject,
      {
        plugins: [firehose(), luaScripts({ workers: 1 }), labelers({ dids }), limitedCaller()],
        lexicons: { "org.example.list": { targetCollection: collection } },
      },
      {
        files: {
          lexicons,
          scripts: Object.entries(scripts).map(([path, text]) => ({ path, name: path, text })),
        },
        env: { PLC_URL: network.plcUrl, JETSTREAM_URL: network.jetstreamUrl },
      },
    );
    await vi.waitFor(() => expect(network.jetstream.clients).toBe(1), 10_000);
  }

  beforeEach(async () => {
    network = await createNetwork({ seed: 71, now: Date.now });
    labeler = await startLabeler(network);
    alice = await network.createAccount();
  });
  afterEach(async () => {
    await running.stop();
    await labeler.close();
    await network.close();
  });

  const admin = (method: string, path: string, body?: unknown): Promise<Response> =>
    running.request(`/admin/labelers${path}`, {
      method,
      headers: { ...adminHeaders, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const stored = async (): Promise<[string, string][]> => {
    const rows = await running.app.db.all<{ uri: string; val: string }>(
      "SELECT uri, val FROM happyview_labels ORDER BY uri, val",
    );
    return rows.map(({ uri, val }) => [uri, val]);
  };
  const cursor = async (): Promise<number | null | undefined> => {
    const list = (await (await admin("GET", "")).json()) as { did: string; cursor: number | null }[];
    return list.find(({ did }) => did === labeler.did)?.cursor;
  };
  const readUntil = (seq: number): Promise<void> =>
    vi.waitFor(async () => expect(await cursor()).toBe(seq), 10_000);
  const uriOf = (rkey: string): string => `at://${alice.did}/${collection}/${rkey}`;

  it("reads a labeler's whole history and goes on, negations included", async () => {
    await labeler.emit([
      { uri: uriOf("a"), val: "spam" },
      { uri: alice.did, val: "bot" },
    ]);
    await start([labeler.did]);
    await readUntil(1);
    expect(await stored()).toEqual(
      [
        [uriOf("a"), "spam"],
        [alice.did, "bot"],
      ].toSorted(),
    );
    await labeler.emit([{ uri: uriOf("a"), val: "spam", neg: true }]);
    await readUntil(2);
    expect(await stored()).toEqual([[alice.did, "bot"]]);
  });

  it("does not let an older label come back after its negation, nor overwrite a newer one", async () => {
    await start([labeler.did]);
    await labeler.emit([{ uri: uriOf("a"), val: "spam", cts: "2026-01-02T00:00:00Z", neg: true }]);
    await labeler.emit([{ uri: uriOf("a"), val: "spam", cts: "2026-01-01T00:00:00Z" }]);
    await readUntil(2);
    expect(await stored()).toEqual([]);
    await labeler.emit([{ uri: uriOf("a"), val: "spam", cts: "2026-01-03T00:00:00Z" }]);
    await readUntil(3);
    expect(await stored()).toEqual([[uriOf("a"), "spam"]]);
  });

  it("refuses what is not signed by the labeler, or is another's", async () => {
    await start([labeler.did]);
    await labeler.emit([{ uri: uriOf("a"), val: "forged" }], await Secp256k1Keypair.create());
    await labeler.emit([{ uri: uriOf("b"), val: "unsigned" }], false);
    await labeler.emit([{ uri: uriOf("c"), val: "foreign", src: alice.did }]);
    await labeler.emit([{ uri: uriOf("d"), val: "right" }]);
    await readUntil(4);
    expect(await stored()).toEqual([[uriOf("d"), "right"]]);
  });

  it("believes a new key once the document names it", async () => {
    await start([labeler.did]);
    await labeler.emit([{ uri: uriOf("a"), val: "old-key" }]);
    await readUntil(1);
    await labeler.rotateKey();
    await labeler.emit([{ uri: uriOf("b"), val: "new-key" }]);
    await readUntil(2);
    expect(await stored()).toEqual([
      [uriOf("a"), "old-key"],
      [uriOf("b"), "new-key"],
    ]);
  });

  it("goes on at its cursor after a broken connection, a pause and a restart", async () => {
    await start([labeler.did]);
    await labeler.emit([{ uri: uriOf("a"), val: "one" }]);
    await readUntil(1);
    labeler.disconnect();
    await labeler.emit([{ uri: uriOf("b"), val: "two" }]);
    await readUntil(2);
    expect((await admin("PATCH", `/${labeler.did}`, { status: "paused" })).status).toBe(204);
    await vi.waitFor(() => expect(labeler.clients).toBe(0));
    await labeler.emit([{ uri: uriOf("c"), val: "three" }]);
    expect(await cursor()).toBe(2);
    expect((await admin("POST", "", { did: labeler.did })).status).toBe(201);
    await readUntil(3);
    expect(await stored()).toHaveLength(3);
  });

  it("shows each label to its script", async () => {
    await start([labeler.did], {
      [`labeler.apply/${collection}.lua`]: `function handle()
        if val == "drop" then return nil end
        if val == "rename" then return { val = "renamed" } end
        return true
      end`,
    });
    await labeler.emit(["drop", "rename", "keep"].map((val) => ({ uri: uriOf("a"), val })));
    await readUntil(1);
    expect(await stored()).toEqual([
      [uriOf("a"), "keep"],
      [uriOf("a"), "renamed"],
    ]);
  });

  it("does not show what has expired, and sweeps it", async () => {
    await start([labeler.did]);
    const record = await alice.create(collection, { $type: collection, text: "hello" });
    await labeler.emit([
      { uri: record.uri, val: "gone", exp: "2026-01-01T00:00:00Z" },
      { uri: record.uri, val: "here", exp: "2999-01-01T00:00:00.000+02:00" },
      { uri: record.uri, val: "odd", exp: "never" },
    ]);
    await readUntil(1);
    expect((await listed({ "atproto-accept-labelers": labeler.did })).labels).toEqual(["here", "odd"]);
    const { sweep } = running.app.api("labelers") as { sweep(): Promise<number> };
    expect(await sweep()).toBe(1);
    expect(await stored()).toEqual([
      [record.uri, "here"],
      [record.uri, "odd"],
    ]);
  });

  interface Shown {
    status: number;
    labels: string[] | undefined;
    header: string | null;
    text: string;
  }
  async function listed(headers: Record<string, string> = {}): Promise<Shown> {
    const read = async (): Promise<Shown> => {
      const response = await running.request("/xrpc/org.example.list", { headers });
      const text = await response.text();
      const { records } = JSON.parse(text) as { records: { labels?: unknown }[] };
      const labels = records[0]?.labels;
      return {
        status: response.status,
        labels: Array.isArray(labels) ? labels.map(({ val }: { val: string }) => val).toSorted() : undefined,
        header: response.headers.get("atproto-content-labelers"),
        text,
      };
    };
    await vi.waitFor(async () => expect((await read()).text).toContain("uri"), 10_000);
    return read();
  }

  it("labels the records of default queries for who asks, and changes nothing for others", async () => {
    await start([labeler.did]);
    const record = await alice.create(collection, {
      $type: collection,
      text: "hello",
      labels: { $type: "com.atproto.label.defs#selfLabels", values: [{ val: "mine" }] },
    });
    const plain = await listed();
    await labeler.emit([{ uri: record.uri, val: "spam" }]);
    await readUntil(1);
    expect((await listed()).text).toBe(plain.text);
    const asked = await listed({ "atproto-accept-labelers": `${labeler.did}, did:plc:unknown` });
    expect(asked).toMatchObject({ labels: ["mine", "spam"], header: labeler.did });
    const one = await running.request(`/xrpc/org.example.list?uri=${encodeURIComponent(record.uri)}`, {
      headers: { "atproto-accept-labelers": labeler.did },
    });
    expect(await one.json()).toMatchObject({
      record: { text: "hello", labels: [{ val: "spam" }, { val: "mine" }] },
    });
  });

  it("leaves out what a redacting labeler takes down", async () => {
    await start([labeler.did]);
    const record = await alice.create(collection, { $type: collection, text: "bad" });
    await listed();
    await labeler.emit([{ uri: record.uri, val: "!takedown" }]);
    await readUntil(1);
    const response = await running.request("/xrpc/org.example.list", {
      headers: { "atproto-accept-labelers": `${labeler.did};redact` },
    });
    expect(await response.json()).toEqual({ records: [] });
    const one = await running.request(`/xrpc/org.example.list?uri=${encodeURIComponent(record.uri)}`, {
      headers: { "atproto-accept-labelers": `${labeler.did};redact` },
    });
    expect(one.status).toBe(404);
  });

  it("asks by URI while the stream is away", async () => {
    labeler.isOnline = false;
    await start([labeler.did]);
    await labeler.emit([{ uri: uriOf("late"), val: "by-uri" }]);
    await alice.create(collection, { $type: collection, text: "x" }, "late");
    await vi.waitFor(async () => expect(await stored()).toEqual([[uriOf("late"), "by-uri"]]), 10_000);
  });

  it("removes a labeler with its labels; the routes answer as HappyView's", async () => {
    await start();
    expect(await (await admin("GET", "")).json()).toEqual([]);
    const added = await admin("POST", "", { did: labeler.did });
    expect([added.status, await added.text()]).toEqual([201, ""]);
    await labeler.emit([{ uri: uriOf("a"), val: "spam" }]);
    await readUntil(1);
    expect(await (await admin("GET", "")).json()).toEqual([
      {
        did: labeler.did,
        status: "active",
        cursor: 1,
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    ]);
    expect((await admin("DELETE", `/${labeler.did}`)).status).toBe(204);
    expect(await stored()).toEqual([]);
    for (const [method, body] of [["DELETE"], ["PATCH", { status: "active" }]] as const) {
      const missing = await admin(method, `/${labeler.did}`, body);
      expect([missing.status, await missing.json()]).toEqual([
        404,
        { error: `labeler subscription '${labeler.did}' not found` },
      ]);
    }
  });

  it("a labeler that leaves the config is unsubscribed; one of an admin stays", async () => {
    await start([labeler.did]);
    await admin("POST", "", { did: alice.did });
    const { db } = running.app;
    const dids = async (): Promise<string[]> =>
      (await db.all<{ did: string }>("SELECT did FROM happyview_labeler_subscriptions")).map(
        ({ did }) => did,
      );
    expect((await dids()).toSorted()).toEqual([alice.did, labeler.did].toSorted());
  });

  it.each([
    ["GET", "", "labelers:read"],
    ["POST", "", "labelers:create"],
    ["PATCH", "/x", "labelers:create"],
    ["DELETE", "/x", "labelers:delete"],
  ])("%s %s needs %s", async (method, path, permission) => {
    await start();
    const ask = (headers: Record<string, string>): Promise<Response> =>
      running.request(`/admin/labelers${path}`, {
        method,
        headers: { ...headers, "content-type": "application/json" },
        ...(method === "GET" ? {} : { body: JSON.stringify({ did: "did:plc:x", status: "active" }) }),
      });
    expect((await ask({})).status).toBe(401);
    expect(await (await ask(limitedHeaders)).json()).toMatchObject({
      message: `Missing permission: ${permission}`,
    });
  });
});
