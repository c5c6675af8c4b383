import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import dns from "node:dns";
import { createServer as createHttpServer } from "node:http";
import { createRequire } from "node:module";
import { createServer, isIP, type AddressInfo, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { explain } from "../../../core/errors.ts";
import { createOutgoingFetch } from "../../../core/http/outgoing.ts";
import { resolveHandle } from "../../../core/identity/handle.ts";
import { definePlugin, type PluginApp } from "../../../core/index.ts";
import { startDns, type Dns } from "../../../playground/network/dns.ts";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { networkLexicons } from "../../../plugins/network-lexicons/index.ts";
import { oauth } from "../../../plugins/oauth/index.ts";
import { users } from "../../../plugins/users/index.ts";
import {
  clientHeaders,
  encryptionKey,
  openDevice,
  registerClient,
  type Device,
} from "../../plugins/dpop-sessions/_device.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";

// Something inside the operator's network; strangers name it wherever they may name an address.
let inside: Server;
let port: number;
let connections = 0;
let nameServer: Dns;
/** What names lead to; nobody else is asked. */
const names = new Map<string, string[]>();
let lookups: string[] = [];

beforeAll(async () => {
  nameServer = await startDns();
  inside = createServer((socket) => {
    connections++;
    socket.on("error", () => {}).destroy();
  });
  await new Promise<void>((resolve) => inside.listen(0, "127.0.0.1", resolve));
  port = (inside.address() as AddressInfo).port;
});

afterAll(async () => {
  await nameServer.close();
  await new Promise((resolve) => inside.close(resolve));
});

beforeEach(() => {
  connections = 0;
  lookups = [];
  names.clear();
  names.set("inside.attacker.net", ["127.0.0.1"]);
  vi.spyOn(dns, "lookup").mockImplementation(((name: string, options: object, done: Done) => {
    lookups.push(name);
    const found = (names.get(name) ?? (isIP(name) ? [name] : [])).map((address) => ({
      address,
      family: address.includes(":") ? 6 : 4,
    }));
    const [first] = found;
    if (!first) done(Object.assign(new Error(`no such name: ${name}`), { code: "ENOTFOUND" }), [], 0);
    else if ("all" in options && options.all === true) done(null, found, 0);
    else done(null, first.address, first.family);
  }) as unknown as typeof dns.lookup); // one of its overloads, which the callers here use
});

type Done = (error: Error | null, address: unknown, family: number) => void;

afterEach(() => vi.restoreAllMocks());

describe("the fetch for addresses of strangers", () => {
  const fetch = createOutgoingFetch({ timeoutMs: 2000 });
  const refusal = async (url: string): Promise<string> =>
    fetch(url, { redirect: "error" }).then(
      (response) => `answered ${response.status}`,
      (error: unknown) => explain(error),
    );

  test.each([
    "http://public.example.com/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.0.0.1/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.1.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fd00::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://localhost/",
    "https://printer.local/",
    "file:///etc/passwd",
    "data:text/plain,hello",
    "ftp://public.example.com/",
  ])("does not go to %s", async (url) => {
    expect(await refusal(url)).not.toMatch(/^answered|no such name|fetch failed$/);
    expect([connections, lookups]).toEqual([0, []]);
  });

  test.each([
    [["127.0.0.1"]],
    [["10.0.0.1"]],
    [["169.254.169.254"]],
    [["100.64.0.1"]],
    [["0.0.0.0"]],
    [["::1"]],
    [["fe80::1"]],
    [["fd00::1"]],
    [["::ffff:10.0.0.1"]],
    // One address of several is enough: the connection might go there.
    [["93.184.215.14", "127.0.0.1"]],
  ])("does not go where a name leads to %j", async (addresses) => {
    names.set("inside.attacker.net", addresses);
    expect(await refusal(`https://inside.attacker.net:${port}/`)).toContain("non-unicast address");
    expect(connections).toBe(0);
  });

  test("looks a name up once for a connection, so that it cannot lead elsewhere after the check", async () => {
    names.delete("inside.attacker.net");
    expect(await refusal(`https://inside.attacker.net:${port}/`)).toContain("no such name");
    expect(lookups).toEqual(["inside.attacker.net"]);
  });

  test("connects where the answer that it checked leads, though the next answer is another one", async () => {
    const rebinding = [["93.184.215.14"], ["127.0.0.1"]];
    vi.spyOn(names, "get").mockImplementation(() => rebinding.shift());
    const led: unknown[] = [];
    // A socket that is destroyed when its name is looked up connects to nothing.
    const watch = (message: unknown): void => {
      const { socket } = message as { socket: Socket };
      socket.on("lookup", (_error, address) => {
        led.push(address);
        socket.destroy();
      });
    };
    subscribe("net.client.socket", watch);
    await refusal(`https://inside.attacker.net:${port}/`);
    unsubscribe("net.client.socket", watch);
    expect([led, rebinding]).toEqual([["93.184.215.14"], [["127.0.0.1"]]]);
    expect(await refusal(`https://inside.attacker.net:${port}/`)).toContain("non-unicast address");
    expect(connections).toBe(0);
  });

  test("does not ask the host of a handle that leads inside", async () => {
    const refused: string[] = [];
    const resolving = resolveHandle("inside.attacker.net", {
      identity: { resolve: () => Promise.reject(new Error("not asked")) },
      config: { env: {} },
      lookup: () => Promise.resolve([]),
      fetch: (url, init) =>
        fetch(url, init).catch((error: unknown) => {
          refused.push(explain(error));
          throw error;
        }),
    });
    await expect(resolving).rejects.toThrow("cannot be resolved");
    expect(refused).toEqual([expect.stringContaining("non-unicast address")]);
  });

  test("is as strict in Bun", async () => {
    const bun = join(
      dirname(createRequire(import.meta.url).resolve("bun/package.json")),
      "..",
      ".bin",
      "bun",
    );
    const script = fileURLToPath(new URL("_ssrf-bun.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(bun, [script], { timeout: 30_000, killSignal: "SIGKILL" });
    const { refused, ...letThrough } = JSON.parse(stdout) as { refused: Record<string, string> };
    for (const [address, said] of Object.entries(refused))
      expect({ address, said }).toEqual({ address, said: expect.stringContaining("non-unicast address") });
    expect(Object.keys(refused)).toHaveLength(6);
    // To the address that was checked, whatever the name leads to by now; the certificate must be that of the name.
    expect(letThrough).toEqual({
      said: "answered 200",
      left: ["127.0.0.1"],
      sent: [
        {
          url: "https://93.184.215.14:8443/path?a=1",
          host: "inside.attacker.net:8443",
          method: "POST",
          redirect: "error",
          tls: { serverName: "inside.attacker.net" },
          body: "hello",
        },
      ],
    });
  });
});

interface Place extends TestApp {
  setup: PluginApp;
  /** Under which it is reached. */
  origin: string;
}

function newDid(): string {
  const id = randomUUID().replaceAll("-", "").slice(0, 24);
  return `did:plc:${id.replace(/[0189]/g, "a")}`;
}

/** Makes a document known, as if its directory had just been asked. */
async function know({ setup }: Place, endpoint: string, did = newDid()): Promise<string> {
  const identity = {
    did,
    handle: "alice.attacker.net",
    signingKey: null,
    keys: {},
    services: { atproto_pds: endpoint, atproto_labeler: endpoint },
  };
  await setup.storage.setItem(`identity:${did}`, { identity, at: setup.clock.now() });
  return did;
}

async function registerSession(place: Place, did: string, issuer?: string): Promise<Response> {
  const client = await registerClient(place);
  const headers = clientHeaders(client);
  const provision = await place.request("/oauth/dpop-keys", { method: "POST", headers, body: "{}" });
  const { provision_id } = (await provision.json()) as { provision_id: string };
  const response = await place.request("/oauth/sessions", {
    method: "POST",
    headers,
    body: JSON.stringify({
      provision_id,
      did,
      access_token: "token",
      refresh_token: "again",
      scopes: "atproto",
      issuer,
    }),
  });
  if (response.status === 201) await place.request(`/oauth/sessions/${did}`, { method: "DELETE", headers });
  return response;
}

const jwt = (payload: object): string =>
  [{ alg: "ES256K" }, payload, {}]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
const didWeb = (origin: string): string => `did:web:${encodeURIComponent(new URL(origin).host)}`;

/** What strangers publish on hosts that everybody may ask: in the place of DNS and TLS, they answer here. */
const published = new Map<string, { status?: number; body: object }>();
/** How often that was read. */
let reads = 0;

function publish(): void {
  const direct = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const found = published.get(url.split("?", 1)[0] ?? "");
    if (!found) return direct(input, init);
    reads++;
    return Response.json(found.body, { status: found.status ?? 200 });
  });
}

const server = "https://server.attacker.net";

/** An authorization server whose metadata leads to an endpoint of another origin. */
function publishServer(endpoints: Record<string, string>): void {
  published.set(`${server}/.well-known/oauth-authorization-server`, {
    body: {
      issuer: server,
      authorization_endpoint: `${server}/authorize`,
      token_endpoint: `${server}/token`,
      pushed_authorization_request_endpoint: `${server}/par`,
      require_pushed_authorization_requests: true,
      response_types_supported: ["code"],
      grant_types_supported: ["authorization_code", "refresh_token"],
      code_challenge_methods_supported: ["S256"],
      token_endpoint_auth_methods_supported: ["none", "private_key_jwt"],
      token_endpoint_auth_signing_alg_values_supported: ["ES256"],
      scopes_supported: ["atproto"],
      authorization_response_iss_parameter_supported: true,
      client_id_metadata_document_supported: true,
      dpop_signing_alg_values_supported: ["ES256"],
      protected_resources: [server],
      ...endpoints,
    },
  });
  published.set(`${server}/.well-known/oauth-protected-resource`, {
    body: {
      resource: server,
      authorization_servers: [server],
    },
  });
  published.set(`${server}/xrpc/com.atproto.repo.createRecord`, {
    status: 401,
    body: { error: "invalid_token" },
  });
}

/** A session of an account of that server, whose token its PDS no longer takes. */
async function openSession(place: Place): Promise<Device> {
  const at = await know(place, server);
  const scopes = "atproto transition:generic";
  return openDevice(place, await registerClient(place), at, { issuer: server, scopes });
}

const write = (place: Place, device: Device): Promise<Response> =>
  device.ask("POST", "/xrpc/com.atproto.repo.createRecord", {
    body: { repo: device.did, collection: "net.attacker.thing", record: {} },
    claims: { htu: `${place.origin}/xrpc/com.atproto.repo.createRecord` },
  });

/** Everywhere a stranger may name an address. */
const ways: Record<string, { verify?: boolean; go(place: Place, origin: string): Promise<unknown> }> = {
  "the did:web that signed a token": {
    async go({ request, setup }, origin) {
      // Nobody asks for the document of one who is no user.
      const headers = { ...adminHeaders, "content-type": "application/json" };
      const body = JSON.stringify({ did: didWeb(origin), permissions: [] });
      const added = await request("/admin/users", { method: "POST", headers, body });
      expect(added.status).toBe(201);
      const aud = `did:web:${encodeURIComponent(new URL(setup.domains.primary()).host)}`;
      const token = jwt({ iss: didWeb(origin), aud, exp: 9_999_999_999 });
      return request("/admin/stats", { headers: { authorization: `Bearer ${token}` } });
    },
  },
  "the did:web of a session": { go: (place, origin) => registerSession(place, didWeb(origin)) },
  "the PDS in a document": {
    go: async (place, origin) => registerSession(place, await know(place, origin)),
  },
  "the issuer of a session": {
    verify: false,
    go: async (place, origin) =>
      registerSession(place, await know(place, "https://nobody.attacker.net"), origin),
  },
  "the PDS of an NSID's authority": {
    async go(place, origin) {
      nameServer.setAuthority("attacker.net", await know(place, origin));
      return place.request("/xrpc/net.attacker.getThing");
    },
  },
  "the PDS of a lexicon's authority": {
    async go(place, origin) {
      nameServer.setAuthority("attacker.net", await know(place, origin));
      return place.request("/admin/network-lexicons/resolve/net.attacker.thing", { headers: adminHeaders });
    },
  },
  "the server of a sign-in": {
    go: ({ request }, origin) => request(`/auth/login?handle=${encodeURIComponent(origin)}`),
  },
  "the authorization server of a sign-in's PDS": {
    go({ request }, origin) {
      const resource = "https://pds.attacker.net";
      published.set(`${resource}/.well-known/oauth-protected-resource`, {
        body: {
          resource,
          authorization_servers: [origin],
        },
      });
      return request(`/auth/login?handle=${encodeURIComponent(resource)}`);
    },
  },
  "the PAR endpoint of a sign-in's server": {
    go({ request }, origin) {
      publishServer({ pushed_authorization_request_endpoint: `${origin}/par` });
      return request(`/auth/login?handle=${encodeURIComponent(server)}`);
    },
  },
  "the token endpoint of a session's server": {
    verify: false,
    async go(place, origin) {
      publishServer({ token_endpoint: `${origin}/token` });
      return write(place, await openSession(place));
    },
  },
  "the revocation endpoint of a session's server": {
    verify: false,
    async go(place, origin) {
      publishServer({ revocation_endpoint: `${origin}/revoke` });
      const device = await openSession(place);
      const path = `/oauth/sessions/${device.did}`;
      return device.ask("DELETE", path, { claims: { htu: place.origin + path } });
    },
  },
  "the PDS of an account that has moved": {
    verify: false,
    async go(place, origin) {
      const device = await openSession(place);
      await know(place, origin, device.did);
      expect((await write(place, device)).status).toBe(502); // it was the PDS that could not be asked
    },
  },
};

async function start(publicUrl: string, verifyTokens: boolean): Promise<Place> {
  const [sqlite] = databases();
  let setup: PluginApp | undefined;
  const spy = definePlugin({ name: "spy", setup: (app) => void (setup = app) });
  const running = await startApp(
    sqlite!,
    {
      plugins: [
        users({ admins: ["did:plc:admin"] }),
        apiClients(),
        dpopSessions({ verifyTokens }),
        networkLexicons(),
        oauth(),
        spy(),
      ],
    },
    {
      env: {
        PUBLIC_URL: publicUrl,
        TOKEN_ENCRYPTION_KEY: encryptionKey,
        SESSION_SECRET: "a secret of at least thirty-two characters",
        DNS_SERVERS: nameServer.server,
      },
    },
  );
  const host = new URL(publicUrl).host;
  const request: TestApp["request"] = (path, init = {}) =>
    running.request(path, { ...init, headers: { ...(init.headers as Record<string, string>), host } });
  return { ...running, request, setup: setup!, origin: publicUrl };
}

test("the host that an account names in alsoKnownAs is looked up when it signs in, and not asked where that leads inside", async () => {
  publish();
  publishServer({});
  const did = "did:web:docs.attacker.net";
  published.set("https://docs.attacker.net/.well-known/did.json", {
    body: {
      id: did,
      alsoKnownAs: ["at://inside.attacker.net"],
      service: [{ id: "#atproto_pds", type: "AtprotoPersonalDataServer", serviceEndpoint: server }],
    },
  });
  await using place = await start("https://appview.example", true);
  const led: [name: string, address: string | undefined, error: string][] = [];
  const watch = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.on("lookup", (error, address, _family, name) => led.push([name, address, explain(error)]));
  };
  subscribe("net.client.socket", watch);
  await place.request(`/auth/login?handle=${did}`);
  unsubscribe("net.client.socket", watch);
  published.clear();
  expect(led).toContainEqual([
    "inside.attacker.net",
    undefined,
    expect.stringContaining("non-unicast address"),
  ]);
  expect(led.filter(([, address]) => address !== undefined)).toEqual([]);
  expect(nameServer.asked).toContain("_atproto.inside.attacker.net"); // at the servers of the config
});

describe.each(Object.entries(ways))("by %s", (_, { verify = true, go }) => {
  beforeEach(publish);
  afterEach(() => {
    published.clear();
    reads = 0;
  });

  // On a developer's machine the same request gets there: the next test would notice a silent change of the way.
  test("a developer's instance reaches its own network", async () => {
    await using place = await start("http://127.0.0.1", verify);
    await go(place, `https://inside.attacker.net:${port}`);
    expect(connections).toBeGreaterThan(0);
  });

  test.each(["https://127.0.0.1", "https://localhost", "https://inside.attacker.net", "http://127.0.0.1"])(
    "no stranger gets a public instance to ask %s",
    async (origin) => {
      await using place = await start("https://appview.example", verify);
      await go(place, `${origin}:${port}`);
      expect(connections).toBe(0);
      if (published.size > 0) expect(reads).toBeGreaterThan(0); // it got as far as that
    },
  );

  test("a redirect leads nowhere, even on a developer's machine", async () => {
    let asked = 0;
    const redirecting = createHttpServer((_request, response) => {
      asked++;
      response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end();
    });
    await new Promise<void>((resolve) => redirecting.listen(0, "127.0.0.1", resolve));
    await using place = await start("http://127.0.0.1", verify);
    await go(place, `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}`);
    await new Promise((resolve) => redirecting.close(resolve));
    expect(asked).toBeGreaterThan(0);
    expect(connections).toBe(0);
  });
});
