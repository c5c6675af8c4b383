import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { users } from "../../../plugins/users/index.ts";
import { password, startAtmosphere, type Atmosphere } from "../_atmosphere.ts";
import { startInstance, type Instance } from "../_instance.ts";
import { client, collection, lexicon, loopbackClientId, scopes } from "../_statusphere.ts";
import { startAppServer, type AppServer } from "./_app-server.ts";
import { hasChromium, openBrowser, openDevice, type Device } from "./_chromium.ts";

// The published SDKs in Chromium and the published PDS with its own pages: only the server between them is ours.
let atmosphere: Atmosphere;
let apps: AppServer;
let instance: Instance;
let browser: Browser;
let did: string;

beforeAll(async () => {
  if (!hasChromium) return;
  atmosphere = await startAtmosphere("alice");
  const { plc, pds, dids } = atmosphere;
  did = dids["alice"] ?? "";
  apps = await startAppServer(["happyview", "atproto"], plc.url);
  const oauthOf = (name: string): { clientId: string; redirectUri: string; scopes: string } => {
    const redirectUri = `${apps.url}/${name}/callback`;
    return { clientId: loopbackClientId(redirectUri), redirectUri, scopes };
  };
  const { clientId, redirectUri } = oauthOf("happyview");
  const ofPage = { clientIdUrl: clientId, redirectUris: [redirectUri], allowedOrigins: [apps.url] };
  const files = {
    lexicons: [
      lexicon(collection, "record"),
      lexicon("xyz.statusphere.list", "query"),
      lexicon("xyz.statusphere.set", "procedure"),
    ],
  };
  instance = await startInstance(
    atmosphere,
    {
      plugins: [
        apiClients({ clients: [{ ...client, ...ofPage }] }),
        dpopSessions(),
        users({ admins: [did] }),
      ],
      lexicons: {
        "xyz.statusphere.list": { targetCollection: collection },
        "xyz.statusphere.set": { targetCollection: collection },
      },
    },
    { files },
  );
  const shared = { plcUrl: apps.url };
  const { clientKey } = client;
  apps.configure("happyview", { ...oauthOf("happyview"), ...shared, instanceUrl: instance.url, clientKey });
  apps.configure("atproto", { ...oauthOf("atproto"), ...shared, pdsUrl: pds.url });
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  await instance?.close();
  apps?.close();
  await atmosphere?.close();
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
    expect(await instance.app.db.all("SELECT id FROM happyview_dpop_sessions")).toEqual([]);
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
      return (await fetch(`${instance.url}/admin/stats`, { headers })).status;
    };
    const ours = `did:web:${encodeURIComponent(new URL(instance.url).host)}`;
    expect(await ask(await tokenFor(ours, "dev.happyview.admin"))).toBe(200);
    expect(await ask(await tokenFor(ours, "dev.happyview.other"))).toBe(401);
    expect(await ask(await tokenFor("did:web:elsewhere.example", "dev.happyview.admin"))).toBe(401);
    await device.signOut();
    await device.close();
  });
});
