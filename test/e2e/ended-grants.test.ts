import type { HappyViewSession } from "@happyview/oauth-client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { apiClients, type DeclaredClient } from "../../plugins/api-clients/index.ts";
import { delegation } from "../../plugins/delegation/index.ts";
import { dpopSessions } from "../../plugins/dpop-sessions/index.ts";
import { users } from "../../plugins/users/index.ts";
import { adminHeaders } from "../setup/app.ts";
import { databases, type TestDatabase } from "../setup/databases.ts";
import { jsonBody } from "../suites/http/subject.ts";
import { startAtmosphere, type Atmosphere } from "./_atmosphere.ts";
import { isKnown, storedGrants, tryRefresh, type StoredGrant } from "./_grants.ts";
import { startInstance, type Instance } from "./_instance.ts";
import { openSdk, signInAs } from "./_sdk.ts";
import { openServerSdk, shop, shopSecret, signInAtShop } from "./_server-app.ts";
import { client } from "./_statusphere.ts";

// What ends here ends at the published PDS, too: whoever had copied a refresh token has nothing.
let atmosphere: Atmosphere;
let database: TestDatabase;
let instance: Instance;

const start = (clients: DeclaredClient[]): Promise<Instance> =>
  startInstance(
    atmosphere,
    {
      database: { url: database.url },
      plugins: [users(), apiClients({ clients }), dpopSessions(), delegation()],
    },
    { env: { SHOP_SECRET: shopSecret } },
  );

beforeAll(async () => {
  atmosphere = await startAtmosphere("alice", "bob");
  database = await databases()[0]!.open();
  instance = await start([client, shop]);
});

afterAll(async () => {
  await instance?.close();
  await database?.drop();
  await atmosphere?.close();
});

const signInOn = (name: string): Promise<HappyViewSession> =>
  signInAs(openSdk(instance.url, atmosphere), name, atmosphere);

const stored = (): Promise<StoredGrant[]> => storedGrants(instance.app.db);

/** In the background, so perhaps not at once; a refresh token can be tried but once. */
async function expectEnded(grants: readonly StoredGrant[]): Promise<void> {
  for (const grant of grants) {
    await expect.poll(() => isKnown(grant, atmosphere), { timeout: 10_000 }).toBe(false);
    expect(await tryRefresh(grant, atmosphere)).toBe("invalid_grant");
  }
}

const post = (session: HappyViewSession, nsid: string, body: object): Promise<Response> =>
  session.fetchHandler(`/xrpc/${nsid}`, jsonBody("POST", body));

test("a device that signs out has no grant left, and every other one keeps its own", async () => {
  await signInOn("alice");
  const laptop = await signInOn("alice");
  await signInOn("bob");
  const [phone, ended, ofBob] = await stored();
  await laptop.signOut();
  expect(await stored()).toHaveLength(2);
  expect(await tryRefresh(ended!, atmosphere)).toBe("invalid_grant"); // it waits for that
  for (const grant of [phone!, ofBob!]) expect(await tryRefresh(grant, atmosphere)).toBe("alive");
  await instance.app.db.run("DELETE FROM happyview_dpop_keys");
});

test("a device ends another one of its user", async () => {
  const phone = await signInOn("alice");
  await signInOn("alice");
  const [kept, ended] = await stored();
  const path = `/oauth/sessions/${phone.did}/devices`;
  const devices = (await (await phone.fetchHandler(path, {})).json()) as { id: string; created_at: string }[];
  const [, { id } = { id: "" }] = devices.toSorted((a, b) => (a.created_at < b.created_at ? -1 : 1));
  expect((await phone.fetchHandler(`${path}/${id}`, { method: "DELETE" })).status).toBe(204);
  expect(await tryRefresh(ended!, atmosphere)).toBe("invalid_grant");
  expect(await tryRefresh(kept!, atmosphere)).toBe("alive");
  await instance.app.db.run("DELETE FROM happyview_dpop_keys");
});

test("an app with a secret ends all sessions of a user, of its own", async () => {
  const [phone] = [
    await signInAtShop(openServerSdk(instance.url), "alice", atmosphere),
    await signInAtShop(openServerSdk(instance.url), "alice", atmosphere),
  ];
  await signInAtShop(openServerSdk(instance.url), "bob", atmosphere);
  await signInOn("alice");
  const [first, second, ofBob, ofOtherApp] = await stored();
  const headers = { "x-client-key": shop.clientKey, "x-client-secret": shopSecret };
  const path = `${instance.url}/oauth/sessions/${phone.did}`;
  expect((await fetch(path, { method: "DELETE", headers })).status).toBe(204);
  expect((await stored()).map(({ refreshToken }) => refreshToken)).toEqual([
    ofBob!.refreshToken,
    ofOtherApp!.refreshToken,
  ]);
  for (const grant of [first!, second!]) expect(await tryRefresh(grant, atmosphere)).toBe("invalid_grant");
  for (const grant of [ofBob!, ofOtherApp!]) expect(await tryRefresh(grant, atmosphere)).toBe("alive");
  await instance.app.db.run("DELETE FROM happyview_dpop_keys");
});

test("an account that its owner unlinks has no grant of the app left", async () => {
  const owner = await signInOn("alice");
  const team = await signInOn("bob");
  const [ofOwner, ofTeam] = await stored();
  const at = "dev.happyview.delegation";
  expect((await post(owner, `${at}.linkAccount`, { did: team.did })).status).toBe(201);
  expect((await post(owner, `${at}.unlinkAccount`, { did: team.did })).status).toBe(200);
  await expectEnded([ofTeam!]);
  expect(await tryRefresh(ofOwner!, atmosphere)).toBe("alive");
  await instance.app.db.run("DELETE FROM happyview_dpop_keys");
});

test("an app that is deleted leaves no grant behind, nor do the apps that its users registered", async () => {
  const admin = (method: string, path: string, body: object = {}): Promise<Response> =>
    fetch(`${instance.url}/admin/api-clients${path}`, jsonBody(method, body, adminHeaders));
  const alice = await signInAtShop(openServerSdk(instance.url), "alice", atmosphere);
  await signInOn("alice");
  const listed = (await (
    await fetch(`${instance.url}/admin/api-clients`, { headers: adminHeaders })
  ).json()) as {
    id: string;
    client_key: string;
  }[];
  const idOf = (key: string): string => listed.find(({ client_key }) => client_key === key)?.id ?? "";
  // The other app becomes a child of the shop.
  await instance.app.db.run(
    "UPDATE happyview_api_clients SET parent_client_id = ?, owner_did = ? WHERE id = ?",
    [idOf(shop.clientKey), alice.did, idOf(client.clientKey)],
  );
  const grants = await stored();
  expect(grants).toHaveLength(2);
  expect((await admin("DELETE", `/${idOf(shop.clientKey)}`)).status).toBe(204);
  expect(await stored()).toEqual([]);
  await expectEnded(grants);
});

test("an app that is taken out of the config leaves no grant behind", async () => {
  await instance.close();
  instance = await start([client, shop]);
  await signInOn("alice");
  await signInAtShop(openServerSdk(instance.url), "alice", atmosphere);
  const [kept, ended] = await stored();
  await instance.close();
  instance = await start([client]);
  expect(await stored()).toHaveLength(1);
  await expectEnded([ended!]);
  expect(await tryRefresh(kept!, atmosphere)).toBe("alive");
});
