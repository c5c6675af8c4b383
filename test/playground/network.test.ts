import { AtpAgent } from "@atproto/api";
import { IdResolver } from "@atproto/identity";
import { encode } from "@atproto/lex-cbor";
import { cidForCbor, parseCid } from "@atproto/lex-data";
import { jsonToLex } from "@atproto/lex-json";
import { verifyProofs, verifyRepoCar } from "@atproto/repo";
import { type Event, Firehose, MemoryRunner } from "@atproto/sync";
import { Frame } from "@atproto/xrpc-server";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createNetwork, type Network, type NetworkOptions } from "../../playground/network/network.ts";
import { startStatusphere } from "../../playground/network/statusphere.ts";
import { collect, collectEvents, opened } from "./_sockets.ts";

const collection = "xyz.statusphere.status";
const status = (text: string): { status: string; createdAt: string } => ({
  status: text,
  createdAt: "2026-01-01T00:00:00.000Z",
});

let network: Network;
beforeEach(async () => {
  network = await createNetwork({ hosts: 2 });
});
afterEach(() => network.close());

async function xrpc(
  base: string,
  path: string,
  init?: RequestInit,
): Promise<{ code: number; body: Record<string, unknown> }> {
  const response = await fetch(`${base}/xrpc/${path}`, init);
  return { code: response.status, body: { ...JSON.parse(await response.text()) } };
}

async function bytes(url: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}

describe("repos", () => {
  it("exports a CAR that verifies against the DID's key", async () => {
    const alice = await network.createAccount();
    const first = await alice.create(collection, status("👍"), "one");
    const second = await alice.create(collection, status("👍"), "two");
    await alice.delete(collection, "one");
    expect(second.cid).toBe(first.cid);

    const car = await bytes(`${alice.pds.url}/xrpc/com.atproto.sync.getRepo?did=${alice.did}`);
    const { creates, commit } = await verifyRepoCar(car, alice.did, alice.keypair.did());
    expect(creates.map(({ rkey, cid }) => [rkey, cid.toString()])).toEqual([["two", second.cid]]);
    expect(commit.rev).toBe(alice.repo?.rev);
  });

  it("proves presence and absence of a record", async () => {
    const alice = await network.createAccount();
    const { cid } = await alice.create(collection, status("👍"), "one");
    const prove = async (rkey: string, claimed: string | null): Promise<number> => {
      const url = `${alice.pds.url}/xrpc/com.atproto.sync.getRecord?did=${alice.did}&collection=${collection}&rkey=${rkey}`;
      const claim = { collection, rkey, cid: claimed === null ? null : parseCid(claimed) };
      return (await verifyProofs(await bytes(url), [claim], alice.did, alice.keypair.did())).verified.length;
    };
    expect(await prove("one", cid)).toBe(1);
    expect(await prove("two", null)).toBe(1);
  });

  it("refuses two writes of one record in a commit and goes on", async () => {
    const alice = await network.createAccount();
    const write = { action: "put" as const, collection, rkey: "one", record: status("👍") };
    await expect(alice.applyWrites([write, write])).rejects.toThrow("only once");
    await expect(alice.put(collection, "one", { status: 1.5 })).rejects.toThrow("data model");
    expect((await alice.applyWrites([write])).results).toHaveLength(1);
  });
});

describe("PDS", () => {
  it("lists records to the published client, page by page", async () => {
    const alice = await network.createAccount();
    for (const rkey of ["a", "b", "c"]) await alice.create(collection, status(rkey), rkey);
    const agent = new AtpAgent({ service: alice.pds.url });
    const page = async (
      cursor?: string,
      reverse = false,
    ): Promise<{ keys: string[]; cursor: string | undefined }> => {
      const { data } = await agent.com.atproto.repo.listRecords({
        repo: alice.handle,
        collection,
        limit: 2,
        reverse,
        ...(cursor ? { cursor } : {}),
      });
      return { keys: data.records.map(({ uri }) => uri.split("/").at(-1) ?? ""), cursor: data.cursor };
    };
    expect(await page()).toEqual({ keys: ["c", "b"], cursor: "b" });
    expect(await page("b")).toEqual({ keys: ["a"], cursor: "a" });
    expect(await page("a")).toEqual({ keys: [], cursor: undefined });
    expect(await page(undefined, true)).toEqual({ keys: ["a", "b"], cursor: "b" });
    expect((await agent.resolveHandle({ handle: alice.handle })).data.did).toBe(alice.did);
    expect((await agent.com.atproto.repo.describeRepo({ repo: alice.did })).data.collections).toEqual([
      collection,
    ]);
  });

  it("lets a bearer write with one request", async () => {
    const alice = await network.createAccount();
    const bob = await network.createAccount();
    const post = (method: string, body: Record<string, unknown>, did = alice.did): ReturnType<typeof xrpc> =>
      xrpc(alice.pds.url, `com.atproto.repo.${method}`, {
        method: "POST",
        headers: { authorization: `Bearer ${did}` },
        body: JSON.stringify({ repo: alice.did, collection, ...body }),
      });
    const created = await post("createRecord", { record: status("👍") });
    expect(created.code).toBe(200);
    const rkey = String(created.body["uri"]).split("/").at(-1);
    expect((await post("putRecord", { rkey, record: status("💙") })).code).toBe(200);
    const got = await xrpc(
      alice.pds.url,
      `com.atproto.repo.getRecord?repo=${alice.did}&collection=${collection}&rkey=${rkey}`,
    );
    expect(got.body["value"]).toEqual({ $type: collection, ...status("💙") });
    expect((await post("deleteRecord", { rkey })).body).toHaveProperty("commit");
    expect(await post("deleteRecord", { rkey })).toEqual({ code: 200, body: {} });
    expect(await post("createRecord", { record: { $type: "a.b.c" } })).toMatchObject({ code: 400 });
    expect(await post("createRecord", { record: status("👍") }, bob.did)).toMatchObject({ code: 401 });
  });

  it("names errors as the real one does", async () => {
    const alice = await network.createAccount();
    const repoError = async (path: string): Promise<unknown> =>
      (await xrpc(alice.pds.url, path)).body["error"];
    const record = `com.atproto.repo.getRecord?repo=${alice.did}&collection=${collection}&rkey=none`;
    const list = `com.atproto.repo.listRecords?repo=${alice.did}&collection=${collection}`;
    const repo = `com.atproto.sync.getRepo?did=${alice.did}`;
    expect(await repoError(record)).toBe("RecordNotFound");
    expect(await repoError(`${list}&limit=0`)).toBe("InvalidRequest");
    expect(await repoError("com.atproto.sync.getRepo?did=did:plc:nobody")).toBe("RepoNotFound");
    expect(await repoError("com.example.unknown")).toBe("MethodNotImplemented");
    for (const [state, error] of [
      ["deactivated", "RepoDeactivated"],
      ["takendown", "RepoTakendown"],
      ["suspended", "RepoSuspended"],
      ["deleted", "RepoNotFound"],
    ] as const) {
      await alice.setStatus(state);
      expect(await repoError(repo)).toBe(error);
      expect(await repoError(list)).toBe("InvalidRequest");
    }
  });
});

describe("relay", () => {
  it("sends commits that the published Firehose decodes and verifies", async () => {
    const alice = await network.createAccount();
    await alice.create(collection, status("👍"), "one");
    await alice.put(collection, "one", status("💙"));
    await alice.delete(collection, "one");
    await alice.setHandle("alice2.test");
    await alice.setStatus("takendown");
    const { seq } = network.relay;

    const events: Event[] = [];
    const errors: unknown[] = [];
    let firehose: Firehose | undefined;
    await new Promise<void>((resolve) => {
      firehose = new Firehose({
        service: network.relayUrl.replace("http", "ws"),
        idResolver: new IdResolver({ plcUrl: network.plcUrl }),
        unauthenticatedHandles: true,
        // Not getCursor: Firehose 0.1.40 puts that function itself into the query.
        runner: new MemoryRunner({ startCursor: 0 }),
        onError: (error) => errors.push(error),
        handleEvent(event) {
          events.push(event);
          if (event.seq === seq) resolve();
        },
      });
      void firehose.start();
    });
    void firehose?.destroy();
    expect(errors).toEqual([]);
    expect(events.map(({ event }) => event)).toEqual([
      "identity",
      "account",
      "sync",
      "create",
      "update",
      "delete",
      "identity",
      "account",
    ]);
    expect(events.at(3)).toMatchObject({ did: alice.did, record: { $type: collection, status: "👍" } });
    expect(events.at(-1)).toMatchObject({ active: false, status: "takendown" });
  });

  it("chains commits: prevData and each op's prev are what came before", async () => {
    const alice = await network.createAccount();
    const first = await alice.create(collection, status("👍"), "one");
    await alice.put(collection, "one", status("💙"));
    const url = `${network.relayUrl.replace("http", "ws")}/xrpc/com.atproto.sync.subscribeRepos?cursor=3`;
    const { messages } = await collect(url, 2);
    const bodies = messages.map((message) => ({ ...Object(Frame.fromBytes(message).body) }));
    expect(bodies[1].since).toBe(bodies[0].rev);
    expect(String(bodies[1].ops[0].prev)).toBe(first.cid);
    expect(bodies[0].prevData).toBeDefined();
    expect(String(bodies[1].prevData)).not.toBe(String(bodies[0].prevData));
  });

  it("says when a cursor is too old or in the future", async () => {
    await using small = await createNetwork({ relayLogLimit: 4 });
    const alice = await small.createAccount();
    for (let count = 0; count < 10; count++) await alice.create(collection, status("👍"));
    const url = `${small.relayUrl.replace("http", "ws")}/xrpc/com.atproto.sync.subscribeRepos`;
    const outdated = Frame.fromBytes((await collect(`${url}?cursor=1`, 1)).messages[0] ?? Buffer.alloc(0));
    expect([outdated.header, outdated.body]).toMatchObject([{ t: "#info" }, { name: "OutdatedCursor" }]);
    const future = await collect(`${url}?cursor=999`, 9);
    expect(future.code).toBe(1008);
    expect(Frame.fromBytes(future.messages[0] ?? Buffer.alloc(0)).body).toMatchObject({
      error: "FutureCursor",
    });
  });

  it("lists repos, by collection too, in pages", async () => {
    const accounts = [
      await network.createAccount(),
      await network.createAccount(),
      await network.createAccount(),
    ];
    for (const account of accounts) await account.create(collection, status("👍"));
    const dids = accounts.map(({ did }) => did).toSorted();
    const method = `com.atproto.sync.listReposByCollection?collection=${collection}&limit=2`;
    const first = await xrpc(network.relayUrl, method);
    expect(first.body).toEqual({ repos: dids.slice(0, 2).map((did) => ({ did })), cursor: dids[1] });
    const second = await xrpc(network.relayUrl, `${method}&cursor=${String(first.body["cursor"])}`);
    expect(second.body).toEqual({ repos: [{ did: dids[2] }] });
    expect((await xrpc(network.relayUrl, "com.atproto.sync.listRepos")).body["repos"]).toHaveLength(3);
    await accounts[0]?.setStatus("suspended");
    const repoStatus = await xrpc(network.relayUrl, `com.atproto.sync.getRepoStatus?did=${accounts[0]?.did}`);
    expect(repoStatus.body).toEqual({ did: accounts[0]?.did, active: false, status: "suspended" });
  });
});

describe("Jetstream", () => {
  const subscribe = (query = "cursor=0"): string => `${network.jetstreamUrl}/subscribe?${query}`;

  it("carries the CID of each record, and every kind of event", async () => {
    const alice = await network.createAccount();
    const made = await alice.create(collection, {
      ...status("👍"),
      b: { $bytes: "AQID" },
      a: [{ $link: alice.repo?.head.toString() }],
    });
    await alice.setHandle("alice2.test");
    await alice.setStatus("deleted");
    const events = await collectEvents(subscribe(), 5);
    expect(events.map(({ kind }) => kind)).toEqual(["identity", "account", "commit", "identity", "account"]);
    const { commit } = events.flatMap((event) => (event.kind === "commit" ? [event] : []))[0] ?? {};
    expect(commit?.cid).toBe(made.cid);
    expect(Object.keys(commit?.record ?? {})).toEqual(["$type", "a", "b", "createdAt", "status"]);
    const fresh = await cidForCbor(encode(jsonToLex(JSON.parse(JSON.stringify(commit?.record)))));
    expect(fresh.toString()).toBe(commit?.cid);
  });

  it("filters collections and DIDs, never identity and account events by collection", async () => {
    const alice = await network.createAccount();
    const bob = await network.createAccount();
    await alice.create("app.example.one", { n: 1 });
    await bob.create("app.example.two", { n: 2, text: "x".repeat(400) });
    await alice.create("app.exampletwo.one", { n: 3 });
    const seen = async (query: string, count: number): Promise<unknown[]> =>
      (await collectEvents(subscribe(`cursor=0&${query}`), count)).map((event) =>
        event.kind === "commit" ? event.commit.record?.["n"] : event.kind,
      );
    const announced = ["identity", "account"];
    expect(await seen("wantedCollections=app.example.one", 5)).toEqual([...announced, ...announced, 1]);
    expect(await seen("wantedCollections=app.example.*", 6)).toEqual([...announced, ...announced, 1, 2]);
    expect(await seen(`wantedDids=${bob.did}`, 3)).toEqual([...announced, 2]);
    expect(await seen(`maxMessageSizeBytes=400&wantedDids=${bob.did}`, 2)).toEqual(announced);
  });

  it("replays from the first event at or after the cursor, and no further back than the look-back", async () => {
    const alice = await network.createAccount();
    for (let n = 0; n < 5; n++) await alice.create("app.example.one", { n });
    const all = await collectEvents(subscribe(), 7);
    const from = all[3]?.time_us ?? 0;
    expect(await collectEvents(subscribe(`cursor=${from}`), 4)).toEqual(all.slice(3));
    expect(await collectEvents(subscribe(`cursor=${from - 1}`), 4)).toEqual(all.slice(3));
    network.jetstream.lookBackMs = (network.jetstream.timeUs - from) / 1000;
    expect(await collectEvents(subscribe(), 4)).toEqual(all.slice(3));
  });

  it("refuses what the real one refuses", async () => {
    const check = async (query: string): Promise<[number, string]> => {
      const response = await fetch(subscribe(query).replace("ws", "http"));
      return [response.status, await response.text()];
    };
    const many = Array.from({ length: 101 }, (_, n) => `wantedCollections=app.example.c${n}`).join("&");
    expect(await check("cursor=-1")).toEqual([400, "subscribe: invalid cursor: -1"]);
    expect(await check(many)).toEqual([400, expect.stringContaining("subscribe: invalid options: too many")]);
    expect(await check("wantedCollections=app.bsky.fo*")).toEqual([
      400,
      expect.stringContaining("invalid collection"),
    ]);
    expect(await check("wantedDids=nobody")).toEqual([400, expect.stringContaining("invalid DID")]);
    expect((await check("wantedCollections=app.*"))[0]).toBe(426);
    await expect(opened(subscribe("cursor=x"))).rejects.toThrow("400");
  });

  it("waits for the hello and obeys options_update", async () => {
    const alice = await network.createAccount();
    await alice.create("app.example.one", { n: 1 });
    await alice.create("app.example.two", { n: 2 });
    const ws = await opened(subscribe("cursor=0&requireHello=true"));
    const events = new Promise<string[]>((resolve) => {
      const seen: string[] = [];
      ws.on("message", (data) => seen.push(String(data)) === 3 && resolve(seen));
    });
    ws.send(JSON.stringify({ type: "options_update", payload: { wantedCollections: ["app.example.two"] } }));
    expect((await events).at(-1)).toContain('"n":2');
    const closed = new Promise((resolve) =>
      ws.once("close", (code, reason) => resolve([code, String(reason)])),
    );
    ws.send("{");
    expect(await closed).toEqual([1007, "bad SubscriberSourcedMessage envelope"]);
  });

  it("sends zstd frames only when told to", async () => {
    await network.createAccount();
    const plain = (await collect(subscribe("cursor=0&compress=true"), 1)).messages[0];
    network.jetstream.zstd = true;
    const packed = (await collect(subscribe("cursor=0&compress=true"), 1)).messages[0];
    expect(packed?.subarray(0, 4).toString("hex")).toBe("28b52ffd");
    const { zstdDecompressSync } = await import("node:zlib");
    expect(zstdDecompressSync(packed ?? "").toString()).toBe(plain?.toString());
  });
});

describe("determinism", () => {
  it("gives the same bytes for the same seed and calls, in the order of the calls", async () => {
    const run = async (options: NetworkOptions): Promise<string[]> => {
      await using other = await createNetwork(options);
      const [alice, bob] = await Promise.all([other.createAccount(), other.createAccount()]);
      await Promise.all([
        alice.create(collection, status("👍")),
        bob.create(collection, status("👍")),
        alice.setStatus("deactivated"),
      ]);
      const events = (await collect(`${other.jetstreamUrl}/subscribe?cursor=0`, 7)).messages.map(String);
      return [...events, String(alice.repo?.head), alice.keypair.did()];
    };
    const [one, again, two] = [await run({ seed: 1 }), await run({ seed: 1 }), await run({ seed: 2 })];
    expect(again).toEqual(one);
    expect(two).not.toEqual(one);
  });

  it("starts a new repo for an account that comes back", async () => {
    const alice = await network.createAccount();
    await alice.create(collection, status("👍"));
    await alice.setStatus("deleted");
    await expect(alice.create(collection, status("👍"))).rejects.toThrow("deleted");
    await alice.setStatus("active");
    expect(alice.repo?.records.collections()).toEqual([]);
    expect((await alice.create(collection, status("👍"))).cid).toMatch(/^bafyrei/);
  });
});

it("statusphere accounts post until they are stopped", async () => {
  const people = await startStatusphere(network, { accounts: 2, rate: 500 });
  const events = await collectEvents(
    `${network.jetstreamUrl}/subscribe?wantedCollections=${collection}&cursor=0`,
    12,
  );
  await people.stop();
  const { timeUs } = network.jetstream;
  expect(events.filter(({ kind }) => kind === "commit").length).toBeGreaterThan(6);
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(network.jetstream.timeUs).toBe(timeUs);
});
