import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Network } from "../../../playground/network/network.ts";
import { adminHeaders, type TestApp } from "../../setup/app.ts";
import { databases } from "../../setup/databases.ts";
import { jsonBody } from "../../suites/http/subject.ts";
import {
  clientHeaders,
  createProof,
  openDevice,
  registerClient,
  startSessions,
  type AskOptions,
  type Device,
  type TestClient,
} from "./_device.ts";

const path = "/xrpc/dev.happyview.listApiClients";
const targetsOf = (did: string): string[] => [
  path,
  `/oauth/sessions/${did}`,
  `/oauth/sessions/${did}/devices`,
  "/admin/stats",
];

describe.each(databases())("proofs on $name", (subject) => {
  let network: Network;
  let running: TestApp;
  let client: TestClient;
  let device: Device;

  beforeAll(async () => {
    ({ network, running } = await startSessions(subject));
    client = await registerClient(running);
    device = await openDevice(running, client, (await network.createAccount()).did);
    const admin = { did: device.did, template: "full_access" };
    expect((await running.request("/admin/users", jsonBody("POST", admin, adminHeaders))).status).toBe(201);
  });
  afterAll(async () => {
    await running.stop();
    await network.close();
  });

  const seconds = (): number => Math.floor(Date.now() / 1000);
  const foreign = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
  const otherCurve = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey.export({
    format: "jwk",
  });

  it("a right one passes, also with what published clients add to the header", async () => {
    for (const at of targetsOf(device.did)) expect((await device.ask("GET", at)).status).toBe(200);
    const { kty, crv, x, y } = device.jwk;
    const header = {
      kid: "k",
      jwk: { kty, crv, x, y, alg: "ES256", kid: "k", ext: true, key_ops: ["verify"] },
    };
    expect((await device.ask("GET", path, { header })).status).toBe(200);
  });

  const refused: [name: string, options: (at: string) => AskOptions, error: string][] = [
    ["another method", () => ({ claims: { htm: "POST" } }), "DPoP proof htm mismatch"],
    ["another URL", () => ({ claims: { htu: "http://localhost/xrpc/other" } }), "DPoP proof htu mismatch"],
    ["another scheme", (at) => ({ claims: { htu: `https://localhost${at}` } }), "DPoP proof htu mismatch"],
    [
      "a URL with a query",
      (at) => ({ claims: { htu: `http://localhost${at}?a=1` } }),
      "DPoP proof htu mismatch",
    ],
    ["the hash of another token", () => ({ claims: { ath: "x" } }), "DPoP proof ath mismatch"],
    ["no token hash", () => ({ claims: { ath: undefined } }), "DPoP proof missing required ath claim"],
    ["an old time", () => ({ claims: { iat: seconds() - 301 } }), "DPoP proof expired"],
    ["a future time", () => ({ claims: { iat: seconds() + 60 } }), "DPoP proof iat is in the future"],
    ["no time", () => ({ claims: { iat: undefined } }), "invalid DPoP proof payload"],
    ["no jti", () => ({ claims: { jti: undefined } }), "invalid DPoP proof payload"],
    ["another type", () => ({ header: { typ: "JWT" } }), "DPoP proof typ must be dpop+jwt"],
    ["an HMAC of the public key", () => ({ header: { alg: "HS256" } }), "DPoP proof alg must be ES256"],
    ["no algorithm", () => ({ header: { alg: "none" } }), "DPoP proof alg must be ES256"],
    ["another key", () => ({ jwk: foreign }), "no DPoP key matching proof thumbprint"],
    ["a key of another curve", () => ({ jwk: otherCurve }), "no DPoP key matching proof thumbprint"],
    ["another client", () => ({ clientKey: "hvc_unknown" }), "unknown client"],
    ["two parts", () => ({ proof: "e30.e30" }), "invalid DPoP proof header"],
    ["no JSON", () => ({ proof: "!!.e30.x" }), "invalid DPoP proof header encoding"],
  ];
  it.each(refused)("with %s is refused", async (_name, options, error) => {
    for (const at of targetsOf(device.did)) {
      const response = await device.ask("GET", at, options(at));
      expect([at, response.status, await response.json()]).toEqual([at, 401, { error }]);
    }
    const own = `/oauth/sessions/${device.did}`;
    for (const [method, at] of [
      ["DELETE", own],
      ["DELETE", `${own}/devices/${device.sessionId}`],
      ["POST", `${own}/token`],
      ["PUT", "/admin/settings/app_name"],
    ] as const) {
      // Another method than the proof's is what one of the rows is about.
      const { claims = {}, ...rest } = options(at);
      const wrong = claims["htm"] === undefined ? claims : { ...claims, htm: "GET" };
      const response = await device.ask(method, at, { ...rest, claims: wrong });
      expect([at, response.status, await response.json()]).toEqual([at, 401, { error }]);
    }
    expect((await device.ask("GET", own)).status).toBe(200); // nothing has ended it
  });

  it("with a broken signature is refused", async () => {
    for (const broken of ["", "AAAA", Buffer.alloc(64, 1).toString("base64url")]) {
      const [head, body] = createProof(device.jwk, "GET", path, device.token).split(".");
      const response = await device.ask("GET", path, { proof: `${head}.${body}.${broken}` });
      expect(response.status).toBe(401);
    }
  });

  it("passes once: a repetition is refused", async () => {
    for (const at of targetsOf(device.did)) {
      const proof = createProof(device.jwk, "GET", at, device.token);
      expect((await device.ask("GET", at, { proof })).status).toBe(200);
      const again = await device.ask("GET", at, { proof });
      expect([again.status, await again.json()]).toEqual([401, { error: "DPoP proof replay detected" }]);
    }
  });

  it("of one app's key does not open another app's session", async () => {
    const other = await registerClient(running);
    const response = await device.ask("GET", path, { clientKey: other.key });
    expect([response.status, await response.json()]).toEqual([
      401,
      { error: "no DPoP key matching proof thumbprint" },
    ]);
  });

  it("never makes a failed login an anonymous one", async () => {
    const response = await device.ask("GET", "/xrpc/com.example.unknown", { claims: { htm: "PUT" } });
    expect(response.status).toBe(401);
  });

  describe("registering", () => {
    const post = (of: TestClient, at: string, body: unknown, headers = {}): Promise<Response> =>
      running.request(at, {
        method: "POST",
        headers: { ...clientHeaders(of), ...headers },
        body: JSON.stringify(body),
      });
    const error = async (response: Response): Promise<[number, unknown]> => [
      response.status,
      ((await response.json()) as { error: string }).error,
    ];

    it("refuses scopes that the client does not have, or none of AT Protocol", async () => {
      const narrow = await registerClient(running, { scopes: "atproto" });
      const { provisionId, did } = await openDevice(running, narrow, device.did);
      const body = { provision_id: provisionId, did, access_token: "t" };
      expect(
        await error(await post(narrow, "/oauth/sessions", { ...body, scopes: "atproto repo:a.b.c" })),
      ).toEqual([400, "scope 'repo:a.b.c' is not allowed for this client"]);
      expect(
        await error(await post(narrow, "/oauth/sessions", { ...body, scopes: "transition:generic" })),
      ).toEqual([400, "token must include the 'atproto' scope"]);
    });

    it("refuses the key of another client", async () => {
      const other = await registerClient(running);
      const body = {
        provision_id: device.provisionId,
        did: device.did,
        access_token: "t",
        scopes: "atproto",
      };
      expect(await error(await post(other, "/oauth/sessions", body))).toEqual([
        401,
        "provision_id does not belong to this client",
      ]);
    });

    it("takes a public client's PKCE verifier only, from its origins only", async () => {
      const app = await registerClient(running, {
        client_type: "public",
        allowed_origins: ["https://a.example"],
      });
      const challenge = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"; // of the empty verifier
      expect(await error(await post(app, "/oauth/dpop-keys", {}))).toEqual([
        400,
        "public clients must provide pkce_challenge",
      ]);
      const at = { pkce_challenge: challenge };
      expect(await error(await post(app, "/oauth/dpop-keys", at))).toEqual([
        401,
        "Origin header required for public clients",
      ]);
      expect(await error(await post(app, "/oauth/dpop-keys", at, { origin: "https://b.example" }))).toEqual([
        401,
        "origin not allowed for this client",
      ]);
      const made = await post(app, "/oauth/dpop-keys", at, { origin: "https://a.example" });
      expect(made.status).toBe(201);
      const { provision_id } = (await made.json()) as { provision_id: string };
      const body = { provision_id, did: device.did, access_token: "t", scopes: "atproto" };
      expect(await error(await post(app, "/oauth/sessions", { ...body, pkce_verifier: "wrong" }))).toEqual([
        401,
        "PKCE verification failed",
      ]);
      expect((await post(app, "/oauth/sessions", { ...body, pkce_verifier: "" })).status).toBe(201);
    });

    it("refuses wrong secrets and clients that are no longer active", async () => {
      expect(await error(await post({ ...client, secret: "hvs_wrong" }, "/oauth/dpop-keys", {}))).toEqual([
        401,
        "invalid client credentials",
      ]);
    });
  });
});
