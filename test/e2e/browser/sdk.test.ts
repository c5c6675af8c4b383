import { AtpAgent } from "@atproto/api";
import { mockNetworkUtilities, TestPds, TestPlc } from "@atproto/dev-env";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp, createLogger, type App } from "../../../core/index.ts";
import { resolveConfig } from "../../../core/config/resolve.ts";
import { serve, type Served } from "../../../core/server/node.ts";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { users } from "../../../plugins/users/index.ts";
import { startAppServer, type AppServer } from "./_app-server.ts";
import { hasChromium, openBrowser, openDevice, type Device } from "./_chromium.ts";

// The published SDKs in Chromium and the published PDS with its own pages: only the server between them is ours.
const collection = "xyz.statusphere.status";
const password = "correct horse battery staple";
const scopes = "atproto transition:generic";
const clientKey = `hvc_${"1".repeat(32)}`;

let plc: TestPlc;
let pds: TestPds;
let apps: AppServer;
let app: App;
let server: Served;
let browser: Browser;
let did: string;

const lexicon = (id: string, main: object): { path: string; name: string; text: string } => ({
  path: `${id}.json`,
  name: id,
  text: JSON.stringify({ lexicon: 1, id, defs: { main } }),
});

beforeAll(async () => {
  if (!hasChromium) return;
  plc = await TestPlc.create({});
  pds = await TestPds.create({ didPlcUrl: plc.url });
  mockNetworkUtilities(pds);
  const agent = new AtpAgent({ service: pds.url });
  const account = { handle: "alice.test", email: "alice@example.com", password };
  did = (await agent.createAccount(account)).data.did;
  apps = await startAppServer(["happyview", "atproto"], plc.url);
  const oauthOf = (name: string): { clientId: string; redirectUri: string; scopes: string } => {
    const redirectUri = `${apps.url}/${name}/callback`;
    const query = new URLSearchParams({ redirect_uri: redirectUri, scope: scopes });
    return { clientId: `http://localhost?${query}`, redirectUri, scopes };
  };
  const { clientId, redirectUri } = oauthOf("happyview");
  const client = {
    name: "Statusphere",
    clientKey,
    clientIdUrl: clientId,
    clientUri: apps.url,
    redirectUris: [redirectUri],
    allowedOrigins: [apps.url],
    scopes,
  };
  const config = resolveConfig(
    {
      plugins: [apiClients({ clients: [client] }), dpopSessions(), users({ admins: [did] })],
      lexicons: {
        "xyz.statusphere.list": { targetCollection: collection },
        "xyz.statusphere.set": { targetCollection: collection },
      },
    },
    {
      mode: "test",
      root: ".",
      env: {
        DATABASE_URL: ":memory:",
        PLC_URL: plc.url,
        PUBLIC_URL: "http://127.0.0.1",
        TOKEN_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString("base64"),
      },
    },
  );
  app = await createApp({
    config,
    log: createLogger({ level: "error" }),
    files: {
      lexicons: [
        lexicon(collection, { type: "record", key: "tid", record: { type: "object", properties: {} } }),
        lexicon("xyz.statusphere.list", { type: "query" }),
        lexicon("xyz.statusphere.set", { type: "procedure" }),
      ],
    },
  });
  server = await serve(app, { host: "127.0.0.1", port: 0 });
  const plcUrl = apps.url;
  apps.configure("happyview", { ...oauthOf("happyview"), instanceUrl: server.url, clientKey, plcUrl });
  apps.configure("atproto", { ...oauthOf("atproto"), pdsUrl: pds.url, plcUrl });
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  await server?.close(100);
  await app?.close();
  apps?.close();
  await pds?.close();
  await plc?.close();
});

async function signedIn(name: string): Promise<Device> {
  const device = await openDevice(browser, `${apps.url}/${name}`);
  expect(await device.did()).toBeNull();
  await device.signIn(did, password);
  expect(await device.did()).toBe(did);
  return device;
}

const write = (device: Device, status: string): ReturnType<Device["call"]> =>
  device.call("/xrpc/xyz.statusphere.set", { status, createdAt: new Date().toISOString() });

const devicesOf = async (device: Device): Promise<unknown> =>
  (await device.call(`/oauth/sessions/${did}/devices`)).body;

const statuses = async (device: Device): Promise<string[]> => {
  const { body } = await device.call(`/xrpc/xyz.statusphere.list?did=${did}`);
  return (body as { records: { status: string }[] }).records.map(({ status }) => status);
};

describe.runIf(hasChromium)("in Chromium", () => {
  test("HappyView's SDK signs in on the PDS's page, writes, reads, is remembered, and logs out", async () => {
    const device = await signedIn("happyview");
    expect(await write(device, "👍")).toMatchObject({
      status: 200,
      body: { uri: expect.stringContaining(`at://${did}/${collection}/`), cid: expect.any(String) },
    });
    expect(await statuses(device)).toEqual(["👍"]);
    expect(await devicesOf(device)).toHaveLength(1);
    await device.reload();
    expect(await device.did()).toBe(did);
    expect((await write(device, "after a reload")).status).toBe(200);
    await device.signOut();
    expect((await write(device, "after the end")).status).toBe(401);
    await device.reload();
    expect(await device.did()).toBeNull();
    expect(await device.stored()).toEqual([]);
    expect(await app.db.all("SELECT id FROM happyview_dpop_sessions")).toEqual([]);
    await device.close();
  });

  test("two browsers write in turns, and ending one leaves the other", async () => {
    const [phone, laptop] = [await signedIn("happyview"), await signedIn("happyview")];
    for (const device of [phone, laptop, phone]) expect((await write(device, "in turns")).status).toBe(200);
    expect(await devicesOf(phone)).toHaveLength(2);
    await laptop.signOut();
    expect((await write(phone, "still here")).status).toBe(200);
    expect((await write(laptop, "gone")).status).toBe(401);
    expect(await devicesOf(phone)).toHaveLength(1);
    await phone.signOut();
    await phone.close();
    await laptop.close();
  });

  test("the AT Protocol's own SDK lets an admin in with a token of the PDS's for this server", async () => {
    const device = await signedIn("atproto");
    const tokenFor = async (aud: string, lxm: string): Promise<string> => {
      const query = new URLSearchParams({ aud, lxm });
      const { status, body } = await device.call(`/xrpc/com.atproto.server.getServiceAuth?${query}`);
      expect(status).toBe(200);
      return (body as { token: string }).token;
    };
    const ask = async (token: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`${server.url}/admin/stats`, { headers })).status;
    };
    expect(await ask(await tokenFor("did:web:127.0.0.1", "dev.happyview.admin"))).toBe(200);
    expect(await ask(await tokenFor("did:web:127.0.0.1", "dev.happyview.other"))).toBe(401);
    expect(await ask(await tokenFor("did:web:elsewhere.example", "dev.happyview.admin"))).toBe(401);
    await device.signOut();
    await device.close();
  });
});
