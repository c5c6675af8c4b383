import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { startApp, type TestApp } from "../../setup/app.ts";
import { databases, type DatabaseSubject } from "../../setup/databases.ts";
import {
  clientHeaders,
  encryptionKey,
  openDevice,
  registerClient,
  type Device,
  type TestClient,
} from "./_device.ts";
import { did, startPds, type StubPds } from "./_pds.ts";

let pds: StubPds;

beforeAll(async () => {
  pds = await startPds();
});
afterAll(() => pds.close());
beforeEach(() => {
  pds.good.clear();
  pds.refreshes.length = 0;
  pds.revoked.length = 0;
});

const ping = "/xrpc/com.example.ping";

describe.each(databases())("refreshes on $name", (subject) => {
  const start = (on: DatabaseSubject = subject, now?: () => number): Promise<TestApp> =>
    startApp(
      on,
      {
        plugins: [apiClients(), dpopSessions({ verifyTokens: false })],
        settings: { xrpc_proxy_config: '{"mode":"open","nsids":[],"routing":"serviceproxy"}' },
      },
      { env: { TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: pds.url }, ...(now ? { now } : {}) },
    );

  /** A device whose token has run out, and a request of it that waits for the token endpoint. */
  async function whileRefreshing(t: TestApp): Promise<{
    client: TestClient;
    device: Device;
    asked: Promise<Response>;
    registerAgain(tokens?: { access_token: string; refresh_token: string }): Promise<Response>;
  }> {
    const client = await registerClient(t);
    const device = await openDevice(t, client, did, { issuer: pds.url });
    const asked = device.ask("GET", ping);
    await expect.poll(() => pds.refreshes.length).toBe(1);
    pds.good.add("registered-again");
    const fields = { provision_id: device.provisionId, did, scopes: "atproto", issuer: pds.url };
    return {
      client,
      device,
      asked,
      registerAgain: (tokens = { access_token: "registered-again", refresh_token: "next" }) =>
        t.request("/oauth/sessions", {
          method: "POST",
          headers: clientHeaders(client),
          body: JSON.stringify({ ...fields, ...tokens }),
        }),
    };
  }

  test("happen once, though the clocks of two processes are far apart", async () => {
    const { url, drop } = await subject.open();
    const both = { name: subject.name, open: async () => ({ url, drop: async () => {} }) };
    const one = await start(both);
    const other = await start(both, () => Date.now() + 20_000);
    const device = await openDevice(one, await registerClient(one), did, { issuer: pds.url });
    const asked = [device.ask("GET", ping)];
    await expect.poll(() => pds.refreshes.length).toBe(1);
    asked.push(device.ask("GET", ping, { on: other }));
    await sleep(500);
    expect(pds.refreshes).toHaveLength(1);
    pds.good.add("fresh");
    pds.refreshes[0]?.answer({ status: 200, body: { access_token: "fresh", refresh_token: "next" } });
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200]);
    expect(pds.refreshes).toHaveLength(1);
    await other.stop();
    await one.stop();
    await drop();
  });

  test("of a grant that is over do not end the session that was registered anew meanwhile", async () => {
    await using t = await start();
    const { device, asked, registerAgain } = await whileRefreshing(t);
    expect((await registerAgain()).status).toBe(201);
    pds.refreshes[0]?.answer({ status: 400, body: { error: "invalid_grant" } });
    expect((await asked).status).toBe(200);
    expect((await device.ask("GET", ping)).status).toBe(200);
  });

  test("leave the tokens that were registered meanwhile, and end the grant that is nobody's now", async () => {
    await using t = await start();
    const { device, asked, registerAgain } = await whileRefreshing(t);
    expect((await registerAgain()).status).toBe(201);
    pds.refreshes[0]?.answer({ status: 200, body: { access_token: "old", refresh_token: "of-old" } });
    expect((await asked).status).toBe(200);
    await expect.poll(() => pds.revoked).toEqual(["of-old"]);
    const token = await device.ask("POST", `/oauth/sessions/${did}/token`);
    expect(await token.json()).toMatchObject({ access_token: "registered-again" });
  });

  test("are stored when the tokens that were registered meanwhile are those that it had", async () => {
    await using t = await start();
    const { device, asked, registerAgain } = await whileRefreshing(t);
    const same = { access_token: device.token, refresh_token: `refresh-${device.token}` };
    expect((await registerAgain(same)).status).toBe(201);
    pds.good.add("fresh");
    pds.refreshes[0]?.answer({ status: 200, body: { access_token: "fresh", refresh_token: "next" } });
    expect((await asked).status).toBe(200);
    const token = await device.ask("POST", `/oauth/sessions/${did}/token`);
    expect(await token.json()).toMatchObject({ access_token: "fresh" });
    expect(pds.revoked).toEqual([]);
  });

  test("that come when their session has ended end their grant", async () => {
    await using t = await start();
    const { client, asked } = await whileRefreshing(t);
    const ended = await t.request(`/oauth/sessions/${did}`, {
      method: "DELETE",
      headers: clientHeaders(client),
    });
    expect(ended.status).toBe(204);
    pds.refreshes[0]?.answer({ status: 200, body: { access_token: "late", refresh_token: "of-late" } });
    expect((await asked).status).toBe(401);
    await expect.poll(() => pds.revoked).toContain("of-late");
  });

  test("of a grant that is over end the session", async () => {
    await using t = await start();
    const { device, asked } = await whileRefreshing(t);
    pds.refreshes[0]?.answer({ status: 400, body: { error: "invalid_grant" } });
    const response = await asked;
    expect([response.status, await response.json()]).toEqual([
      401,
      { error: "session expired, please re-authenticate" },
    ]);
    expect((await device.ask("GET", ping)).status).toBe(401);
  });
});
