import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { encryptionKey, openDevice, registerClient, type Device } from "./_device.ts";

const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

interface Asked {
  method: string;
  url: string;
  headers: Record<string, string | undefined>;
  body: string;
}

/** A PDS that keeps what it is asked, and the directory that names it. */
let server: Server;
let url: string;
let asked: Asked[] = [];
let answer: { status: number; type: string; body: string | Buffer };

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url?.startsWith("/did:")) {
      const service = [{ id: "#atproto_pds", type: "AtprotoPersonalDataServer", serviceEndpoint: url }];
      response.end(JSON.stringify({ id: did, alsoKnownAs: ["at://alice.test"], service }));
      return;
    }
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const headers = request.headers as Record<string, string>;
      asked.push({ method: request.method ?? "", url: request.url ?? "", headers, body });
      response.writeHead(answer.status, { "content-type": answer.type, "atproto-repo-rev": "3kaaaaaaaaaaa" });
      response.end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

beforeEach(() => {
  asked = [];
  answer = { status: 200, type: "application/json", body: '{"ok":true}' };
});

const serviceProxy = (extra: object = {}): string =>
  JSON.stringify({ mode: "open", nsids: [], routing: "serviceproxy", ...extra });

describe.each(databases())("the caller's own PDS on $name", (subject) => {
  async function start(
    policy: string | undefined,
    scopes = "atproto transition:generic",
  ): Promise<TestApp & { device: Device }> {
    const running = await startApp(
      subject,
      {
        plugins: [apiClients(), dpopSessions({ verifyTokens: false })],
        ...(policy === undefined ? {} : { settings: { xrpc_proxy_config: policy } }),
      },
      { env: { TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: url } },
    );
    const device = await openDevice(running, await registerClient(running, { scopes }), did, { scopes });
    return { ...running, device };
  }

  test("gets unknown methods with the session, the query and what the app says to services", async () => {
    await using t = await start(serviceProxy());
    const path = "/xrpc/app.bsky.feed.getTimeline?limit=5&cursor=a%20b";
    const response = await t.device.ask("GET", path, {
      headers: { "atproto-proxy": "did:web:api.example#view", "atproto-accept-labelers": "did:plc:labels" },
    });
    expect([response.status, await response.json()]).toEqual([200, { ok: true }]);
    expect(response.headers.get("atproto-repo-rev")).toBe("3kaaaaaaaaaaa");
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      method: "GET",
      url: path,
      headers: {
        authorization: `DPoP ${t.device.token}`,
        dpop: expect.stringMatching(/^ey/),
        "atproto-proxy": "did:web:api.example#view",
        "atproto-accept-labelers": "did:plc:labels",
      },
    });
    expect(asked[0]?.headers).not.toHaveProperty("x-client-key");
  });

  test("gets a body as it was sent, and its refusals reach the app as they are", async () => {
    await using t = await start(serviceProxy());
    answer = {
      status: 409,
      type: "application/json",
      body: '{"error":"Conflict","message":"already there"}',
    };
    const body = { repo: did, amount: 1 };
    const response = await t.device.ask("POST", "/xrpc/com.example.bank.pay", { body });
    expect([response.status, await response.text()]).toEqual([409, answer.body]);
    expect(asked[0]).toMatchObject({ method: "POST", body: JSON.stringify(body) });
  });

  test("answers bytes, which cannot become a page of this instance", async () => {
    await using t = await start(serviceProxy());
    answer = { status: 200, type: "image/png", body: Buffer.from([137, 80, 78, 71, 0, 255]) };
    const response = await t.device.ask("GET", "/xrpc/com.atproto.sync.getBlob?cid=x");
    expect(response.headers.get("content-type")).toBe("image/png");
    expect(response.headers.get("content-security-policy")).toContain("sandbox");
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([137, 80, 78, 71, 0, 255]);
  });

  test("is nobody's without a session", async () => {
    await using t = await start(serviceProxy());
    const query = await t.request("/xrpc/app.bsky.feed.getTimeline");
    expect([query.status, await query.json()]).toEqual([
      401,
      { error: "app.bsky.feed.getTimeline requires DPoP authentication" },
    ]);
    const headers = { "content-type": "application/json" };
    const write = await t.request("/xrpc/com.atproto.repo.createRecord", {
      method: "POST",
      headers,
      body: "{}",
    });
    expect(write.status).toBe(401);
    expect(asked).toEqual([]);
  });

  test("is asked about the caller's repo only", async () => {
    await using t = await start(serviceProxy());
    for (const path of ["/xrpc/com.atproto.repo.createRecord", "/xrpc/com.example.bank.pay"]) {
      const foreign = await t.device.ask("POST", path, { body: { repo: "did:plc:other" } });
      expect([foreign.status, await foreign.json()]).toEqual([
        400,
        { error: expect.stringContaining("repo 'did:plc:other' is not the caller's") },
      ]);
    }
    expect(asked).toEqual([]);
    expect(
      (await t.device.ask("POST", "/xrpc/com.example.bank.pay", { body: { repo: "alice.test" } })).status,
    ).toBe(200);
  });

  test("is not asked for what the scopes do not allow", async () => {
    const granted = [
      "atproto",
      "repo:com.example.note?action=create",
      "repo?collection=com.example.list&collection=com.example.item",
      "rpc:com.example.search?aud=did:web:search.example%23view",
    ];
    await using t = await start(serviceProxy(), granted.join(" "));
    const write = (method: string, body: object): Promise<Response> =>
      t.device.ask("POST", `/xrpc/com.atproto.repo.${method}`, { body: { repo: did, ...body } });
    const refused = await write("deleteRecord", { collection: "com.example.note", rkey: "a" });
    expect([refused.status, await refused.json()]).toEqual([
      403,
      {
        error: "ScopeMissingError",
        message: 'Missing required scope "repo:com.example.note?action=delete"',
      },
    ]);
    const writes = [
      { $type: "com.atproto.repo.applyWrites#create", collection: "com.example.note", value: {} },
      { $type: "com.atproto.repo.applyWrites#create", collection: "com.example.other", value: {} },
    ];
    expect((await write("applyWrites", { writes })).status).toBe(403);
    const search = (proxy: string): Promise<Response> =>
      t.device.ask("GET", "/xrpc/com.example.search", { headers: { "atproto-proxy": proxy } });
    const elsewhere = await search("did:web:other.example#view");
    expect([elsewhere.status, await elsewhere.text()]).toEqual([
      403,
      expect.stringContaining("rpc:com.example.search?aud=did:web:other.example%23view"),
    ]);
    expect(asked).toEqual([]);
    expect((await write("createRecord", { collection: "com.example.note", record: {} })).status).toBe(200);
    expect((await write("putRecord", { collection: "com.example.item", rkey: "a", record: {} })).status).toBe(
      200,
    );
    expect((await search("did:web:search.example#view")).status).toBe(200);
  });

  test.each([undefined, '{"mode":"disabled"}'])(
    "gets the standard methods of repos whatever the policy is: %s",
    async (policy) => {
      await using t = await start(policy);
      for (const name of ["createRecord", "putRecord", "deleteRecord", "applyWrites"])
        expect((await t.device.ask("POST", `/xrpc/com.atproto.repo.${name}`, { body: {} })).status).toBe(200);
      expect(asked).toHaveLength(4);
    },
  );

  test("gets what the policy lets through, and nothing where it is disabled", async () => {
    await using t = await start('{"mode":"disabled"}');
    const path = "/xrpc/com.example.ping";
    const refused = await t.device.ask("GET", path);
    expect([refused.status, await refused.json()]).toEqual([
      403,
      { error: "NSID not allowed by proxy policy" },
    ]);
    const change = (policy: object): Promise<Response> =>
      t.request("/admin/settings/xrpc-proxy", {
        method: "PUT",
        headers: { ...adminHeaders, "content-type": "application/json" },
        body: JSON.stringify(policy),
      });
    expect(
      (await change({ mode: "allowlist", nsids: ["com.example.*"], routing: "serviceproxy" })).status,
    ).toBe(204);
    const stored = await t.request("/admin/settings/xrpc-proxy", { headers: adminHeaders });
    expect(await stored.json()).toEqual({
      mode: "allowlist",
      nsids: ["com.example.*"],
      routing: "serviceproxy",
    });
    expect((await t.device.ask("GET", path)).status).toBe(200);
    expect((await t.device.ask("GET", "/xrpc/com.other.ping")).status).toBe(403);
    expect((await change({ mode: "open", nsids: [], routing: "elsewhere" })).status).toBe(422);
    expect((await change({ mode: "open", nsids: [], routing: "authority" })).status).toBe(204);
    const back = await t.request("/admin/settings/xrpc-proxy", { headers: adminHeaders });
    expect(await back.json()).toEqual({ mode: "open", nsids: [] });
  });

  test.each([
    "disabled",
    '{"mode":"closed"}',
    '{"mode":"open","routing":"x"}',
    '{"mode":"allowlist","nsids":["*"]}',
  ])("a policy in the config that cannot be read stops the start: %s", async (policy) => {
    await expect(startApp(subject, { settings: { xrpc_proxy_config: policy } })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
    });
  });
});

test("routing by service proxy says what it needs", async () => {
  const [sqlite] = databases();
  await using t = await startApp(sqlite!, { settings: { xrpc_proxy_config: serviceProxy() } });
  const response = await t.request("/xrpc/com.example.ping");
  expect([response.status, await response.text()]).toEqual([501, expect.stringContaining("holds sessions")]);
});
