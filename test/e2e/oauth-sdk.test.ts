import type { HappyViewBrowserClient, HappyViewSession } from "@happyview/oauth-client-browser";
import { createAgent } from "@happyview/lex-agent";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiClients } from "../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../plugins/dpop-sessions/index.ts";
import { firehose } from "../../plugins/firehose/index.ts";
import { luaScripts } from "../../plugins/lua-scripts/index.ts";
import { startAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { startInstance, type Instance } from "./_instance.ts";
import { openSdk, signInAs, spoilTokens, writeStatus as write } from "./_sdk.ts";
import { client, collection, lexicon } from "./_statusphere.ts";

// The published PDS with its OAuth server and the published SDK, none of it ours: what a third-party app does.
const copyBlob = `function handle()
  local found = atproto.blob_download(caller_did, input.cid)
  local copy = atproto.blob_upload(found.handle, "image/gif").blob
  local now = require("happyview.atproto").blob_download(caller_did, input.cid)
  local again = require("happyview.record").upload_blob(now.bytes, now.mime_type)
  return {
    size = found.handle:size(), mime = found.handle:mime_type(), copy = copy,
    bytes = { #now.bytes, now.size, now.bytes:byte(1), now.bytes:byte(-1) }, again = again,
    lost = select(2, pcall(atproto.blob_download, caller_did, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")),
    wrong = select(2, pcall(atproto.blob_upload, {})),
  }
end`;

let atmosphere: Atmosphere;
let instance: Instance;
let base: string;
let dids: Atmosphere["dids"];

beforeAll(async () => {
  atmosphere = await startAtmosphere("alice", "bob");
  ({ dids } = atmosphere);
  const files = {
    lexicons: [
      lexicon(collection, "record"),
      lexicon("xyz.statusphere.list", "query"),
      lexicon("xyz.statusphere.set", "procedure"),
      lexicon("xyz.statusphere.remove", "procedure"),
      lexicon("xyz.statusphere.copyBlob", "procedure"),
    ],
    scripts: [{ path: "xrpc.procedure/xyz.statusphere.copyBlob.lua", name: "copyBlob", text: copyBlob }],
  };
  instance = await startInstance(
    atmosphere,
    {
      plugins: [
        firehose({ source: "relay" }),
        apiClients({ clients: [client] }),
        dpopSessions(),
        luaScripts({ workers: 1 }),
      ],
      lexicons: {
        "xyz.statusphere.list": { targetCollection: collection },
        "xyz.statusphere.set": { targetCollection: collection },
        "xyz.statusphere.remove": { targetCollection: collection, action: "delete" },
      },
    },
    { env: { RELAY_URL: atmosphere.pds.url }, files },
  );
  base = instance.url;
});

afterAll(async () => {
  await instance?.close();
  await atmosphere?.close();
});

const device = (): HappyViewBrowserClient => openSdk(base, atmosphere);
const signInOn = (sdk: HappyViewBrowserClient, name: string): Promise<HappyViewSession> =>
  signInAs(sdk, name, atmosphere);

async function statuses(did: string): Promise<string[]> {
  const response = await fetch(`${base}/xrpc/xyz.statusphere.list?did=${did}`);
  const { records } = (await response.json()) as { records: { status: string }[] };
  return records.map(({ status }) => status);
}

async function devices(session: HappyViewSession): Promise<{ id: string }[]> {
  const response = await session.fetchHandler(`/oauth/sessions/${session.did}/devices`, {});
  expect(response.status).toBe(200);
  return (await response.json()) as { id: string }[];
}

describe("the published SDK", () => {
  it("provisions, signs in on the PDS's page, registers, writes, reads and logs out", async () => {
    const client = device();
    const session = await signInOn(client, "alice");
    expect(session.did).toBe(dids["alice"]);
    const answer = await write(session, "👍");
    expect(answer.status).toBe(200);
    const written = (await answer.json()) as { uri: string; cid: string };
    expect(written.uri).toContain(`at://${dids["alice"]}/${collection}/`);
    expect(answer.headers.get("atproto-repo-rev")).toMatch(/^[2-7a-z]{13}$/);
    expect(await statuses(session.did)).toContain("👍"); // at once: nothing has come from the stream yet
    expect(await client.getSession(session.did)).toMatchObject({ did: session.did });
    const viaAgent = await createAgent(session).fetchHandler("/xrpc/xyz.statusphere.list?limit=1", {});
    expect(viaAgent.status).toBe(200);
    await session.signOut();
    expect((await write(session, "after the end")).status).toBe(401);
  });

  it("keeps one device when the other is ended, and lists what there is", async () => {
    const phone = await signInOn(device(), "alice");
    const laptop = await signInOn(device(), "alice");
    expect((await write(phone, "phone")).status).toBe(200);
    expect((await write(laptop, "laptop")).status).toBe(200);
    expect((await write(phone, "phone again")).status).toBe(200);
    expect(await devices(phone)).toHaveLength(2);
    await laptop.signOut();
    expect((await write(phone, "still here")).status).toBe(200);
    expect((await write(laptop, "gone")).status).toBe(401);
    expect(await devices(phone)).toHaveLength(1);
    await phone.signOut();
  });

  it("keeps the accounts of others apart", async () => {
    const alice = await signInOn(device(), "alice");
    const bob = await signInOn(device(), "bob");
    const ofAlice = await bob.fetchHandler(`/oauth/sessions/${alice.did}/devices`, {});
    expect(ofAlice.status).toBe(403);
    const [{ id } = { id: "" }] = await devices(alice);
    const ended = await bob.fetchHandler(`/oauth/sessions/${alice.did}/devices/${id}`, { method: "DELETE" });
    expect(ended.status).toBe(403);
    expect((await write(alice, "mine")).status).toBe(200);
    await alice.signOut();
    await bob.signOut();
  });

  it("refreshes once for fifty writes at the same time, and every client stays in", async () => {
    const session = await signInOn(device(), "alice");
    await spoilTokens(instance.app.db);
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => write(session, `write ${i}`)));
    answers.push(await write(session, "later"));
    expect(answers.map(({ status }) => status)).toEqual(Array(51).fill(200));
    // Also on the answers of those requests for which it was refreshed.
    const expiries = new Set(answers.map(({ headers }) => headers.get("x-happyview-session-refreshed")));
    expect([...expiries]).toEqual([expect.stringMatching(/^\d{4}-/)]);
    const token = await session.fetchHandler(`/oauth/sessions/${session.did}/token`, { method: "POST" });
    expect(((await token.json()) as { access_token: string }).access_token).not.toBe("");
    await session.signOut();
  });

  it("passes on what the PDS refuses, without sending it twice", async () => {
    const session = await signInOn(device(), "bob");
    const response = await session.fetchHandler("/xrpc/xyz.statusphere.remove", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ uri: "at://x/y/not a record key!" }),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: expect.any(String), message: expect.any(String) });
    await session.signOut();
  });

  it("writes with the standard methods, and shows at once what they wrote", async () => {
    const session = await signInOn(device(), "bob");
    const call = async (method: string, body: object): Promise<Record<string, unknown>> => {
      const response = await session.fetchHandler(`/xrpc/com.atproto.repo.${method}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ repo: session.did, collection, ...body }),
      });
      expect(response.status).toBe(200);
      return (await response.json()) as Record<string, unknown>;
    };
    const status = (text: string): object => ({
      $type: collection,
      status: text,
      createdAt: new Date().toISOString(),
    });
    const { uri } = await call("createRecord", { record: status("one") });
    expect(await statuses(session.did)).toEqual(["one"]);
    const rkey = String(uri).split("/").at(-1);
    await call("putRecord", { rkey, record: status("two") });
    expect(await statuses(session.did)).toEqual(["two"]);
    await call("deleteRecord", { rkey });
    expect(await statuses(session.did)).toEqual([]);
    const $type = "com.atproto.repo.applyWrites#create";
    await call("applyWrites", {
      writes: ["three", "four"].map((text) => ({ $type, collection, value: status(text) })),
    });
    expect((await statuses(session.did)).toSorted()).toEqual(["four", "three"]);
    await session.signOut();
  });

  it("uploads blobs and shows the caller's profile", async () => {
    const session = await signInOn(device(), "bob");
    const blob = await session.fetchHandler("/xrpc/com.atproto.repo.uploadBlob", {
      method: "POST",
      headers: { "content-type": "image/png" },
      body: new Uint8Array([137, 80, 78, 71]),
    });
    expect(await blob.json()).toMatchObject({ blob: { mimeType: "image/png", size: 4 } });
    const profile = await session.fetchHandler("/xrpc/app.bsky.actor.getProfile", {});
    expect(await profile.json()).toMatchObject({ did: dids["bob"], handle: "bob.test" });
    await session.signOut();
  });

  it("lets scripts copy blobs from and to the caller's PDS", async () => {
    const session = await signInOn(device(), "bob");
    let refreshed: string | null = null;
    const post = async (
      path: string,
      type: string,
      body: string | Uint8Array<ArrayBuffer>,
    ): Promise<unknown> => {
      const headers = { "content-type": type };
      const response = await session.fetchHandler(`/xrpc/${path}`, { method: "POST", headers, body });
      expect(response.status).toBe(200);
      refreshed = response.headers.get("x-happyview-session-refreshed");
      return response.json();
    };
    const json = (path: string, body: object): Promise<unknown> =>
      post(path, "application/json", JSON.stringify(body));
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i);
    const { blob } = (await post("com.atproto.repo.uploadBlob", "image/png", bytes)) as {
      blob: { ref: { $link: string } };
    };
    await json("com.atproto.repo.createRecord", {
      repo: session.did,
      collection,
      record: { $type: collection, blob },
    });
    const cid = blob.ref.$link;
    // Equal bytes have an equal CID; the PDS names the type that it saw first, or was told.
    const same = {
      $type: "blob",
      ref: { $link: cid },
      size: 1000,
      mimeType: expect.stringMatching(/^image\//),
    };
    expect(refreshed).toBeNull();
    await spoilTokens(instance.app.db);
    expect(await json("xyz.statusphere.copyBlob", { cid })).toEqual({
      size: 1000,
      mime: "image/png",
      copy: same,
      bytes: [1000, 1000, 0, 999 % 256],
      again: same,
      lost: expect.stringMatching(/blob_download: PDS returned 4\d\d/),
      wrong: expect.stringContaining("blob_upload: first argument must be a BlobHandle from blob_download()"),
    });
    expect(refreshed).not.toBeNull(); // by the script's own request
    await session.signOut();
  });
});
