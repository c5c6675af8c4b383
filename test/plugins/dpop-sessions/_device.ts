import { createHash, createHmac, createPrivateKey, randomUUID, sign, type JsonWebKey } from "node:crypto";
import { createNetwork, type Network } from "../../../playground/network/network.ts";
import { apiClients } from "../../../plugins/api-clients/index.ts";
import { delegation, type DelegationOptions } from "../../../plugins/delegation/index.ts";
import { dpopSessions } from "../../../plugins/dpop-sessions/index.ts";
import { users } from "../../../plugins/users/index.ts";
import { adminHeaders, startApp, type TestApp } from "../../setup/app.ts";
import type { DatabaseSubject } from "../../setup/databases.ts";

export const host = "localhost";
export const encryptionKey: string = Buffer.alloc(32, 5).toString("base64");

/** An app with the plugins of sessions, on a network that knows the accounts; tokens are made up. */
export async function startSessions(
  subject: DatabaseSubject,
  linking: DelegationOptions = {},
): Promise<{ network: Network; running: TestApp }> {
  const network = await createNetwork({ seed: 61 });
  const running = await startApp(
    subject,
    { plugins: [users(), apiClients(), dpopSessions({ verifyTokens: false }), delegation(linking)] },
    { env: { TOKEN_ENCRYPTION_KEY: encryptionKey, PLC_URL: network.plcUrl } },
  );
  return { network, running };
}

export interface TestClient {
  id: string;
  key: string;
  secret: string | undefined;
}

let clientCount = 0;

export async function registerClient(
  { request }: Pick<TestApp, "request">,
  fields: Record<string, unknown> = {},
): Promise<TestClient> {
  const n = ++clientCount;
  const response = await request("/admin/api-clients", {
    method: "POST",
    headers: { ...adminHeaders, "content-type": "application/json" },
    body: JSON.stringify({
      name: `App ${n}`,
      client_id_url: `https://app${n}.example/${randomUUID()}.json`,
      client_uri: `https://app${n}.example`,
      redirect_uris: [`https://app${n}.example/cb`],
      scopes: "atproto transition:generic",
      ...fields,
    }),
  });
  const made = (await response.json()) as { id: string; client_key: string; client_secret?: string };
  return { id: made.id, key: made.client_key, secret: made.client_secret };
}

export interface Device {
  did: string;
  token: string;
  sessionId: string;
  provisionId: string;
  jwk: JsonWebKey;
  /** A request with a fresh proof, or with what is wrong about it. */
  ask(method: string, path: string, options?: AskOptions): Promise<Response>;
}

export interface AskOptions {
  body?: unknown;
  claims?: Record<string, unknown>;
  header?: Record<string, unknown>;
  proof?: string;
  token?: string;
  clientKey?: string;
  jwk?: JsonWebKey;
  headers?: Record<string, string>;
  /** Another app on the same database. */
  on?: Pick<TestApp, "request">;
}

/** Provisions a key and registers a session, as an app does after the user signed in. */
export async function openDevice(
  { request }: Pick<TestApp, "request">,
  client: TestClient,
  did: string,
  fields: Record<string, unknown> = {},
): Promise<Device> {
  const headers = clientHeaders(client);
  const provision = await request("/oauth/dpop-keys", { method: "POST", headers, body: "{}" });
  const { provision_id: provisionId, dpop_key: jwk } = (await provision.json()) as {
    provision_id: string;
    dpop_key: JsonWebKey;
  };
  const token = `token-${randomUUID()}`;
  const registered = await request("/oauth/sessions", {
    method: "POST",
    headers,
    body: JSON.stringify({
      provision_id: provisionId,
      did,
      access_token: token,
      refresh_token: `refresh-${token}`,
      scopes: "atproto",
      ...fields,
    }),
  });
  if (registered.status !== 201) throw new Error(`${registered.status} ${await registered.text()}`);
  const { session_id: sessionId } = (await registered.json()) as { session_id: string };
  return {
    did,
    token,
    sessionId,
    provisionId,
    jwk,
    ask(method, path, options = {}) {
      const access = options.token ?? token;
      return (options.on?.request ?? request)(path, {
        method,
        headers: {
          authorization: `DPoP ${access}`,
          dpop: options.proof ?? createProof(options.jwk ?? jwk, method, path, token, options),
          "x-client-key": options.clientKey ?? client.key,
          ...options.headers,
          ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      });
    },
  };
}

export function clientHeaders(client: TestClient): Record<string, string> {
  return {
    "content-type": "application/json",
    "x-client-key": client.key,
    ...(client.secret === undefined ? {} : { "x-client-secret": client.secret }),
  };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A proof by hand, so that every part of it can be wrong. */
export function createProof(
  jwk: JsonWebKey,
  method: string,
  path: string,
  token: string,
  { claims = {}, header = {} }: Pick<AskOptions, "claims" | "header"> = {},
): string {
  const { kty, crv, x, y } = jwk;
  const head = encode({ typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y }, ...header });
  const body = encode({
    jti: randomUUID(),
    htm: method,
    htu: `http://${host}${path.split("?", 1)[0]}`,
    iat: Math.floor(Date.now() / 1000),
    ath: createHash("sha256").update(token).digest("base64url"),
    ...claims,
  });
  return `${head}.${body}.${signatureOf(`${head}.${body}`, jwk, String(header["alg"] ?? "ES256"))}`;
}

function signatureOf(text: string, jwk: JsonWebKey, alg: string): string {
  if (alg === "none") return "";
  // What a server that takes any algorithm would accept: the public key as the secret of an HMAC.
  if (alg === "HS256") return createHmac("sha256", String(jwk.x)).update(text).digest("base64url");
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
}
