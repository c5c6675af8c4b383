import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Network } from "../../../playground/network/network.ts";
import { createSecretBox } from "../../../core/secret-box.ts";
import type { TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import {
  clientHeaders,
  encryptionKey,
  openDevice,
  registerClient,
  startSessions,
  type TestClient,
} from "./_device.ts";

describe.each(databases())("sessions and devices on $name", (subject) => {
  let network: Network;
  let running: TestApp;
  let client: TestClient;

  beforeAll(async () => {
    ({ network, running } = await startSessions(subject));
    client = await registerClient(running);
  });
  afterAll(async () => {
    await running.stop();
    await network.close();
  });

  const newDid = async (): Promise<string> => (await network.createAccount()).did;
  const bySecret = (method: string, path: string): Promise<Response> =>
    running.request(path, { method, headers: clientHeaders(client) });

  it("a user has one session for each device, and the app lists and ends them", async () => {
    const did = await newDid();
    const phone = await openDevice(running, client, did);
    const laptop = await openDevice(running, client, did);
    const devices = (await (await bySecret("GET", `/oauth/sessions/${did}/devices`)).json()) as {
      id: string;
    }[];
    expect(new Set(devices.map(({ id }) => id))).toEqual(new Set([phone.sessionId, laptop.sessionId]));
    expect(devices[0]).toEqual({
      id: expect.any(String),
      dpop_key_id: expect.any(String),
      scopes: ["atproto"],
      created_at: expect.any(String),
      updated_at: expect.any(String),
    });
    const ended = await bySecret("DELETE", `/oauth/sessions/${did}/devices/${laptop.sessionId}`);
    expect(ended.status).toBe(204);
    expect((await laptop.ask("GET", `/oauth/sessions/${did}`)).status).toBe(401);
    expect(await (await phone.ask("GET", `/oauth/sessions/${did}`)).json()).toEqual({
      did,
      scopes: ["atproto"],
    });
    const again = await bySecret("DELETE", `/oauth/sessions/${did}/devices/${laptop.sessionId}`);
    expect(again.status).toBe(404);
  });

  it("a secret ends all sessions of a user, a proof ends its own", async () => {
    const did = await newDid();
    const [a, b] = [await openDevice(running, client, did), await openDevice(running, client, did)];
    expect((await a.ask("DELETE", `/oauth/sessions/${did}`)).status).toBe(204);
    expect((await b.ask("GET", `/oauth/sessions/${did}`)).status).toBe(200);
    await openDevice(running, client, did);
    expect((await bySecret("DELETE", `/oauth/sessions/${did}`)).status).toBe(204);
    expect(await (await bySecret("GET", `/oauth/sessions/${did}/devices`)).json()).toEqual([]);
    expect((await bySecret("DELETE", `/oauth/sessions/${did}`)).status).toBe(204);
  });

  it("a percent-encoded DID is the same account, and the proof is for the path as it was sent", async () => {
    const did = await newDid();
    const device = await openDevice(running, client, did);
    const path = `/oauth/sessions/${encodeURIComponent(did)}`;
    expect((await device.ask("GET", path)).status).toBe(200);
    expect((await device.ask("DELETE", path)).status).toBe(204);
  });

  it("a device of another account sees and ends nothing", async () => {
    const [mine, other] = [await newDid(), await newDid()];
    const device = await openDevice(running, client, mine);
    const stranger = await openDevice(running, client, other);
    expect((await stranger.ask("GET", `/oauth/sessions/${mine}/devices`)).status).toBe(403);
    const at = `/oauth/sessions/${mine}/devices/${device.sessionId}`;
    expect((await stranger.ask("DELETE", at)).status).toBe(403);
    expect((await stranger.ask("DELETE", `/oauth/sessions/${mine}`)).status).toBe(403);
    expect((await device.ask("GET", `/oauth/sessions/${mine}`)).status).toBe(200);
  });

  it("registering a key again keeps the session's id", async () => {
    const did = await newDid();
    const device = await openDevice(running, client, did);
    const again = await running.request("/oauth/sessions", {
      method: "POST",
      headers: clientHeaders(client),
      body: JSON.stringify({
        provision_id: device.provisionId,
        did,
        access_token: "next",
        scopes: "atproto",
      }),
    });
    expect(await again.json()).toMatchObject({ session_id: device.sessionId });
    // The app may go on with the token it had: holding the key is the login.
    expect((await device.ask("GET", `/oauth/sessions/${did}`)).status).toBe(200);
  });

  it("a key stands for one account", async () => {
    const [mine, other] = [await newDid(), await newDid()];
    const device = await openDevice(running, client, mine);
    const register = (did: string): Promise<Response> =>
      running.request("/oauth/sessions", {
        method: "POST",
        headers: clientHeaders(client),
        body: JSON.stringify({
          provision_id: device.provisionId,
          did,
          access_token: "next",
          scopes: "atproto",
        }),
      });
    const refused = await register(other);
    expect([refused.status, await refused.json()]).toEqual([
      409,
      { error: "this provision has a session of another account: provision a key for each sign-in" },
    ]);
    expect((await device.ask("GET", `/oauth/sessions/${mine}`)).status).toBe(200);
    expect((await register(mine)).status).toBe(201);
    // Of two that come at once, one is.
    const { provision_id } = (await (
      await running.request("/oauth/dpop-keys", {
        method: "POST",
        headers: clientHeaders(client),
        body: "{}",
      })
    ).json()) as { provision_id: string };
    device.provisionId = provision_id;
    const both = await Promise.all([register(mine), register(other)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([201, 409]);
  });

  it("gives the current token to the holder of the key, and to nobody else", async () => {
    const did = await newDid();
    const device = await openDevice(running, client, did);
    const answer = await device.ask("POST", `/oauth/sessions/${did}/token`);
    expect(await answer.json()).toMatchObject({ did, access_token: device.token });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect((await bySecret("POST", `/oauth/sessions/${did}/token`)).status).toBe(401);
  });

  it("keeps tokens and keys encrypted, in the original's format", async () => {
    const did = await newDid();
    const device = await openDevice(running, client, did);
    const row = await running.app.db.get<{ access_token_enc: Uint8Array }>(
      "SELECT access_token_enc FROM happyview_dpop_sessions WHERE id = ?",
      [device.sessionId],
    );
    const stored = row?.access_token_enc ?? new Uint8Array();
    expect(Buffer.from(stored).toString("latin1")).not.toContain(device.token);
    expect(stored.length).toBe(12 + Buffer.byteLength(device.token) + 16);
    expect(createSecretBox(encryptionKey).openBytes(stored)).toBe(device.token);
    // After a rotation the previous key still reads what it sealed.
    const next = Buffer.alloc(32, 6).toString("base64");
    expect(createSecretBox(next, encryptionKey).openBytes(stored)).toBe(device.token);
    expect(() => createSecretBox(next).openBytes(stored)).toThrow("another TOKEN_ENCRYPTION_KEY");
  });
});
