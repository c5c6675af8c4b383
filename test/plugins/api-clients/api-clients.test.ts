import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { createClock } from "../../../core/clock.ts";
import { createApp } from "../../../core/index.ts";
import { deploy } from "../../../plugins/api-clients/declared.ts";
import { createApiClients } from "../../../plugins/api-clients/store.ts";
import { apiClients, type DeclaredClient } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { adminHeaders, startApp, testConfig, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { silent } from "../../setup/log.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import {
  clientHeaders,
  encryptionKey,
  openDevice,
  registerClient,
  type Device,
} from "../dpop-sessions/_device.ts";

const secret = `hvs_${"5".repeat(64)}`;
const shop: DeclaredClient = {
  name: "Shop",
  clientKey: `hvc_${"2".repeat(32)}`,
  clientIdUrl: "https://shop.example/client.json",
  clientUri: "https://shop.example",
  redirectUris: ["https://shop.example/cb"],
  type: "confidential",
  secretEnv: "SHOP_SECRET",
  scopes: "atproto transition:generic",
};
const spa: DeclaredClient = {
  ...shop,
  name: "SPA",
  clientKey: `hvc_${"3".repeat(32)}`,
  clientIdUrl: "https://spa.example/client.json",
  type: "public",
};

interface Shown {
  id: string;
  client_key: string;
  client_id_url: string;
  name: string;
  is_active: boolean;
  parent_client_id: string | null;
}

describe.each(databases())("API clients on $name", (subject) => {
  let network: Network;
  beforeAll(async () => (network = await createNetwork({ seed: 53 })));
  afterAll(() => network.close());

  const env = { SHOP_SECRET: secret };
  const start = (): Promise<TestApp> =>
    startApp(
      subject,
      { plugins: [apiClients(), dpopSessions({ verifyTokens: false })] },
      { env: { TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: network.plcUrl } },
    );
  const list = async ({ request }: Pick<TestApp, "request">, query = ""): Promise<Shown[]> =>
    (await (await request(`/admin/api-clients${query}`, { headers: adminHeaders })).json()) as Shown[];
  const send = async (
    { request }: Pick<TestApp, "request">,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<[number, unknown]> => {
    const init =
      body === undefined ? { method, headers: adminHeaders } : jsonBody(method, body, adminHeaders);
    const response = await request(`/admin/api-clients${path}`, init);
    const text = await response.text();
    return [response.status, text === "" ? "" : (JSON.parse(text) as unknown)];
  };
  const created = {
    name: "App",
    client_id_url: "https://app.example/client.json",
    client_uri: "https://app.example",
    redirect_uris: ["https://app.example/cb"],
  };

  describe("that the config declares", () => {
    /** One start after another on one database. */
    async function deployments(
      work: (deploy: (clients: DeclaredClient[]) => Promise<TestApp>) => Promise<void>,
    ): Promise<void> {
      const { url, drop } = await subject.open();
      let running: TestApp | undefined;
      try {
        await work(async (clients) => {
          await running?.stop();
          const plugins = [apiClients({ clients }), dpopSessions({ verifyTokens: false })];
          const config = testConfig(
            { plugins, database: { url, maxConnections: 8 } },
            { ...env, TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: network.plcUrl },
          );
          const app = await createApp({ config, log: silent });
          const stop = (): Promise<void> => app.close();
          running = {
            app,
            stop,
            [Symbol.asyncDispose]: stop,
            request: (path, init = {}) =>
              app.fetch(
                new Request(`http://localhost${path}`, {
                  ...init,
                  headers: { host: "localhost", ...(init.headers as Record<string, string>) },
                }),
              ),
          };
          return running;
        });
      } finally {
        await running?.stop();
        await drop();
      }
    }

    test("are there with their key and the secret of the environment, change with it, and go when taken out", () =>
      deployments(async (deploy) => {
        let t = await deploy([shop, spa]);
        const client = { id: "", key: shop.clientKey, secret };
        const device = await openDevice(t, client, (await network.createAccount()).did);
        expect((await list(t)).map(({ name }) => name).toSorted()).toEqual(["SPA", "Shop"]);
        await registerClient(t);

        t = await deploy([{ ...shop, name: "Shop 2", scopes: "atproto" }, spa]);
        expect((await list(t)).map(({ name }) => name)).toContain("Shop 2");
        const sessions = `/oauth/sessions/${device.did}`;
        expect((await t.request(sessions, { headers: clientHeaders(client) })).status).toBe(200);
        const wrong = clientHeaders({ ...client, secret: `${secret}x` });
        expect((await t.request(sessions, { headers: wrong })).status).toBe(401);

        t = await deploy([spa]);
        const left = await list(t);
        expect(left.map(({ name }) => name)).toContain("SPA");
        expect(left).toHaveLength(2); // the admin's own stays
        expect((await t.request(sessions, { headers: clientHeaders(client) })).status).toBe(401);
        expect(await t.app.db.all("SELECT id FROM happyview_dpop_sessions")).toEqual([]);
      }));

    test("lose at the next start what the config no longer gives them", () =>
      deployments(async (deploy) => {
        const viewOf = async (t: TestApp): Promise<unknown> =>
          (await list(t)).find(({ name }) => name === "Shop");
        const more = {
          scopes: "atproto transition:generic",
          allowedOrigins: ["https://shop.example"],
          rateLimit: { capacity: 5, refillRate: 1 },
        };
        expect(await viewOf(await deploy([{ ...shop, ...more }]))).toMatchObject({
          scopes: more.scopes,
          allowed_origins: more.allowedOrigins,
          rate_limit_capacity: 5,
          rate_limit_refill_rate: 1,
        });
        const { scopes: _, ...plain } = shop;
        expect(await viewOf(await deploy([plain]))).toMatchObject({
          scopes: "atproto",
          allowed_origins: null,
          rate_limit_capacity: null,
          rate_limit_refill_rate: null,
        });
      }));

    test("have the secret of the environment at the next start, when it was changed there", () =>
      deployments(async (deploy) => {
        await deploy([shop]);
        const other = `hvs_${"6".repeat(64)}`;
        env.SHOP_SECRET = other;
        const t = await deploy([shop]);
        env.SHOP_SECRET = secret;
        const ask = async (given: string): Promise<number> => {
          const headers = clientHeaders({ id: "", key: shop.clientKey, secret: given });
          return (await t.request("/oauth/dpop-keys", { method: "POST", headers, body: "{}" })).status;
        };
        expect([await ask(other), await ask(secret)]).toEqual([201, 401]);
      }));

    test("become confidential and public as the config says", () =>
      deployments(async (deploy) => {
        const provision = async (t: TestApp, given: string | undefined): Promise<number> => {
          const headers = clientHeaders({ id: "", key: shop.clientKey, secret: given });
          const body = JSON.stringify({ pkce_challenge: "challenge" });
          return (await t.request("/oauth/dpop-keys", { method: "POST", headers, body })).status;
        };
        for (const type of ["public", "confidential", "public", "confidential"] as const) {
          const t = await deploy([{ ...shop, type }]);
          const answers = [await provision(t, secret), await provision(t, ""), await provision(t, undefined)];
          expect({ type, answers }).toEqual({
            type,
            answers: type === "public" ? [401, 401, 201] : [201, 401, 401],
          });
        }
      }));

    test("are made once by processes that start together", async () => {
      await using t = await startApp(subject, { plugins: [apiClients()] });
      const { db, config } = t.app;
      const clients = createApiClients({ db, clock: createClock(Date.now) });
      const begin = (): Promise<void> => deploy([spa], clients, { config, log: silent });
      await Promise.all([begin(), begin(), begin()]);
      expect(await clients.list({ origin: "config" })).toMatchObject([{ clientKey: spa.clientKey }]);
    });

    test("stop the start when two have one key", async () => {
      const clients = [spa, { ...spa, name: "Copy", clientIdUrl: "https://copy.example/client.json" }];
      await expect(startApp(subject, { plugins: [apiClients({ clients })] })).rejects.toMatchObject({
        code: "CONFIG_INVALID",
        message: 'the clientKey of the API client "Copy" is another client\'s',
      });
    });

    test("take the place of what a user registered, with its key and its sessions", () =>
      deployments(async (deploy) => {
        const t = await deploy([spa]);
        const { did } = await network.createAccount();
        const device = await openDevice(t, await registerClient(t), did);
        const body = { ...shop, redirectUris: [...shop.redirectUris], clientType: "public" };
        const made = await device.ask("POST", "/xrpc/dev.happyview.createApiClient", { body });
        expect(made.status).toBe(201);
        const { client } = (await made.json()) as { client: { id: string } };
        const again = await deploy([spa, shop]);
        expect((await send(again, "GET", `/${client.id}`))[0]).toBe(404);
        const declared = (await list(again)).find(({ name }) => name === "Shop");
        expect(declared).toMatchObject({ client_key: shop.clientKey });
        expect((await send(again, "GET", `/${declared?.id}`))[1]).toMatchObject({ owner_did: null });
      }));

    test.each([
      [{ ...shop, secretEnv: "NOT_SET" }, "NOT_SET holds no secret"],
      [{ ...shop, secretEnv: "HAPPYVIEW_ADMIN_KEY" }, "HAPPYVIEW_ADMIN_KEY holds no secret"],
    ])("stop the start without a secret", async (client, message) => {
      const starting = startApp(subject, { plugins: [apiClients({ clients: [client] })] });
      await expect(starting).rejects.toMatchObject({
        code: "CONFIG_INVALID",
        message: expect.stringContaining(message),
        hint: expect.stringContaining("hvs_$(openssl rand -hex 32)"),
      });
    });
  });

  test("are made, shown without their secret, changed where something is given, and removed", async () => {
    await using t = await start();
    const limits = { rate_limit_capacity: 50, rate_limit_refill_rate: 1.5 };
    const [status, made] = await send(t, "POST", "", { ...created, ...limits });
    const { id, client_key, client_secret } = made as Record<string, string>;
    expect(status).toBe(201);
    expect(client_key).toMatch(/^hvc_[0-9a-f]{32}$/);
    expect(client_secret).toMatch(/^hvs_[0-9a-f]{64}$/);
    const [, shown] = await send(t, "GET", `/${id}`);
    expect(shown).toMatchObject({ ...created, ...limits, scopes: "atproto", is_active: true });
    expect(JSON.stringify(shown)).not.toMatch(/secret|hash/);
    const change = { name: "Renamed", client_uri: null, rate_limit_capacity: null };
    expect(await send(t, "PUT", `/${id}`, change)).toEqual([204, ""]);
    expect((await send(t, "GET", `/${id}`))[1]).toMatchObject({ ...created, ...limits, name: "Renamed" });
    expect(await send(t, "DELETE", `/${id}`)).toEqual([204, ""]);
    const gone = [404, { error: `api client '${id}' not found` }];
    expect(await send(t, "GET", `/${id}`)).toEqual(gone);
    expect(await send(t, "PUT", `/${id}`, {})).toEqual(gone);
    expect(await send(t, "DELETE", `/${id}`)).toEqual(gone);
  });

  test("have a client_id of their own: one that is taken is 409, of another admin or of the instance", async () => {
    await using t = await start();
    expect((await send(t, "POST", "", { ...created, client_type: "public" }))[1]).not.toHaveProperty(
      "client_secret",
    );
    expect(await send(t, "POST", "", created)).toEqual([
      409,
      { error: `client_id_url '${created.client_id_url}' is registered already` },
    ]);
    const [domain] = (await (await t.request("/admin/domains", { headers: adminHeaders })).json()) as {
      url: string;
    }[];
    const own = { ...created, client_id_url: `${domain?.url}/oauth-client-metadata.json` };
    expect((await send(t, "POST", "", own))[0]).toBe(409);
    expect((await send(t, "POST", "", { ...created, client_type: "secret" }))[0]).toBe(400);
    expect(await list(t)).toHaveLength(1);
  });

  describe("that users make", () => {
    const call = async (
      device: Device,
      name: string,
      body?: unknown,
      query = "",
    ): Promise<[number, Record<string, unknown>]> => {
      const method = body === undefined ? "GET" : "POST";
      const path = `/xrpc/dev.happyview.${name}${query}`;
      const response = await device.ask(method, path, body === undefined ? {} : { body });
      return [response.status, (await response.json()) as Record<string, unknown>];
    };
    const child = {
      name: "Child",
      clientIdUrl: "https://child.example/client.json",
      clientUri: "https://child.example",
      redirectUris: ["https://child.example/cb"],
    };

    test("are their own, and theirs alone", async () => {
      await using t = await start();
      const parent = await registerClient(t);
      const [alice, bob] = [
        await openDevice(t, parent, (await network.createAccount()).did),
        await openDevice(t, parent, (await network.createAccount()).did),
      ];
      const [status, made] = await call(alice, "createApiClient", child);
      expect([status, made["clientSecret"]]).toEqual([201, expect.stringMatching(/^hvs_/)]);
      const { id } = made["client"] as { id: string };
      expect(await call(alice, "createApiClient", child)).toEqual([
        409,
        { error: "client_id_url already registered" },
      ]);
      expect((await call(alice, "listApiClients"))[1]).toMatchObject({ clients: [{ id, name: "Child" }] });
      expect((await call(bob, "listApiClients"))[1]).toEqual({ clients: [] });
      expect((await call(bob, "getApiClient", undefined, `?id=${id}`))[0]).toBe(404);
      expect((await call(bob, "deleteApiClient", { id }))[0]).toBe(404);
      expect((await call(alice, "getApiClient", undefined, `?id=${id}`))[1]).not.toHaveProperty(
        "clientSecret",
      );
      expect(await call(alice, "deleteApiClient", { id })).toEqual([200, {}]);
      expect((await call(alice, "listApiClients"))[1]).toEqual({ clients: [] });
      expect((await t.request("/xrpc/dev.happyview.listApiClients")).status).toBe(401);
    });

    test("cannot be the instance's own", async () => {
      await using t = await start();
      const device = await openDevice(t, await registerClient(t), (await network.createAccount()).did);
      const domains = (await (await t.request("/admin/domains", { headers: adminHeaders })).json()) as {
        url: string;
      }[];
      expect(domains).not.toHaveLength(0);
      for (const { url } of domains) {
        const own = { ...child, clientIdUrl: `${url}/oauth-client-metadata.json` };
        expect(await call(device, "createApiClient", own)).toEqual([
          409,
          { error: "client_id_url is a domain's of this instance" },
        ]);
      }
    });

    test("cannot manage others, and are ended and removed with their parent", async () => {
      await using t = await start();
      const parent = await registerClient(t);
      const { did } = await network.createAccount();
      const owner = await openDevice(t, parent, did);
      const [, made] = await call(owner, "createApiClient", child);
      const { id, clientKey } = made["client"] as { id: string; clientKey: string };
      const ofChild = { id, key: clientKey, secret: String(made["clientSecret"]) };
      const device = await openDevice(t, ofChild, did);
      const grandchild = { ...child, clientIdUrl: "https://grandchild.example/client.json" };
      expect(await call(device, "createApiClient", grandchild)).toEqual([
        403,
        { error: "Child clients cannot create API clients" },
      ]);
      expect((await call(device, "listApiClients"))[0]).toBe(401);
      expect(await list(t, `?parent_id=${parent.id}`)).toMatchObject([{ id, parent_client_id: parent.id }]);

      expect(await send(t, "PUT", `/${parent.id}`, { is_active: false })).toEqual([204, ""]);
      expect((await list(t)).map((client) => client.is_active)).toEqual([false, false]);
      const read = `/oauth/sessions/${did}`;
      expect((await owner.ask("GET", read)).status).toBe(401);
      expect((await device.ask("GET", read)).status).toBe(401);
      expect(await send(t, "PUT", `/${parent.id}`, { is_active: true })).toEqual([204, ""]);
      expect((await owner.ask("GET", read)).status).toBe(200);
      expect((await device.ask("GET", read)).status).toBe(401);

      expect(await send(t, "DELETE", `/${parent.id}`)).toEqual([204, ""]);
      expect(await list(t)).toEqual([]);
      expect(await t.app.db.all("SELECT id FROM happyview_dpop_keys")).toEqual([]);
    });
  });

  test("made by two at once with one client_id are one", async () => {
    await using t = await start();
    const answers = await Promise.all(Array.from({ length: 8 }, () => send(t, "POST", "", created)));
    expect(answers.map(([status]) => status).toSorted()).toEqual([201, ...Array<number>(7).fill(409)]);
  });
});
