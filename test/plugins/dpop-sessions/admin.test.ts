import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from "vitest";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { users } from "../../../plugins/users/index.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import { encryptionKey, openDevice, registerClient, type Device, type TestClient } from "./_device.ts";

describe.each(databases())("the admin API by a session on $name", (subject) => {
  let network: Network;
  let t: TestApp;
  let parent: TestClient;
  let did: string;

  beforeAll(async () => (network = await createNetwork({ seed: 67 })));
  afterAll(() => network.close());
  beforeEach(async () => {
    const plugins = [users(), apiClients(), dpopSessions({ verifyTokens: false })];
    const env = { TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: network.plcUrl };
    t = await startApp(subject, { plugins }, { env });
    parent = await registerClient(t);
    ({ did } = await network.createAccount());
  });
  afterEach(() => t.stop());

  const ask = async (device: Device): Promise<[number, unknown]> => {
    const response = await device.ask("GET", "/admin/users");
    return [response.status, await response.json()];
  };
  const makeUser = async (): Promise<void> => {
    const body = { did, template: "full_access" };
    const added = await t.request("/admin/users", jsonBody("POST", body, adminHeaders));
    expect(added.status).toBe(201);
  };
  const registerChild = async (by: Device): Promise<TestClient> => {
    const body = {
      name: "Child",
      clientIdUrl: "https://child.example/client.json",
      clientUri: "https://child.example",
      redirectUris: ["https://child.example/cb"],
    };
    const made = await by.ask("POST", "/xrpc/dev.happyview.createApiClient", { body });
    expect(made.status).toBe(201);
    const { client, clientSecret } = (await made.json()) as {
      client: { id: string; clientKey: string };
      clientSecret: string;
    };
    return { id: client.id, key: client.clientKey, secret: clientSecret };
  };

  it("is open to a user in an app that an admin registered", async () => {
    const device = await openDevice(t, parent, did);
    expect(await ask(device)).toEqual([403, { error: "not a user" }]);
    await makeUser();
    expect(await ask(device)).toEqual([200, [expect.objectContaining({ did })]]);
  });

  it("is closed to an app that another user registered, whoever signs in there", async () => {
    const stranger = await openDevice(t, parent, (await network.createAccount()).did);
    const trap = await openDevice(t, await registerChild(stranger), did);
    await makeUser();
    expect(await ask(trap)).toEqual([
      403,
      { error: "an app that a user registered has no access to /admin" },
    ]);
    // What it is for goes on.
    expect((await trap.ask("GET", `/oauth/sessions/${did}`)).status).toBe(200);
  });

  it("makes nobody the first super user: an app is no way to take over an instance", async () => {
    const device = await openDevice(t, parent, did);
    expect(await ask(device)).toEqual([403, { error: "not a user" }]);
    const listed = await t.request("/admin/users", { headers: adminHeaders });
    expect(await listed.json()).toEqual([]);
  });
});
