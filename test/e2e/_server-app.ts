import { createHash, randomBytes, randomUUID } from "node:crypto";
import { HappyViewOAuthClient, type HappyViewSession } from "@happyview/oauth-client";
import { calculateJwkThumbprint, importJWK, SignJWT, type JWK } from "jose";
import { password, type Atmosphere } from "./_atmosphere.ts";
import { signIn } from "./_sign-in.ts";
import { client, redirectUri, scopes } from "./_statusphere.ts";

/** An app with a server of its own, which keeps a secret. */
export const shop = {
  ...client,
  name: "Shop",
  type: "confidential" as const,
  secretEnv: "SHOP_SECRET",
  clientKey: `hvc_${"2".repeat(32)}`,
  // Another client_id than that of the public app.
  clientIdUrl: `${client.clientIdUrl}&redirect_uri=${encodeURIComponent("http://127.0.0.1:4001/")}`,
};
export const shopSecret: string = `hvs_${"5".repeat(64)}`;

/** The published SDK of such an app. */
export function openServerSdk(
  instanceUrl: string,
  { secret = shopSecret, ask = fetch }: { secret?: string; ask?: typeof fetch } = {},
): HappyViewOAuthClient {
  const { clientKey } = shop;
  return new HappyViewOAuthClient({ instanceUrl, clientKey, clientSecret: secret, fetch: ask });
}

/** What an app holds after a user has signed in, before it registers anything. */
export interface SignedIn {
  provisionId: string;
  did: string;
  accessToken: string;
  refreshToken: string;
  scopes: string;
  issuer: string;
  dpopKey: Awaited<ReturnType<HappyViewOAuthClient["provisionDpopKey"]>>["rawJwk"];
}

/** Signs a user in at the PDS, which the app does itself: the SDK gives it a key, and registers what comes of it. */
export async function signInAtPds(
  sdk: HappyViewOAuthClient,
  name: string,
  { pds }: Pick<Atmosphere, "pds">,
  consents?: string,
): Promise<SignedIn> {
  const { provisionId, rawJwk } = await sdk.provisionDpopKey();
  const jwk = rawJwk as JWK;
  const verifier = randomBytes(32).toString("base64url");
  const asked = await askServer(`${pds.url}/oauth/par`, jwk, {
    response_type: "code",
    client_id: shop.clientIdUrl,
    redirect_uri: redirectUri,
    state: randomUUID(),
    scope: scopes,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    dpop_jkt: await calculateJwkThumbprint(jwk),
  });
  const page = new URLSearchParams({
    client_id: shop.clientIdUrl,
    request_uri: String(asked.body["request_uri"]),
  });
  const back = await signIn(`${pds.url}/oauth/authorize?${page}`, {
    name: `${name}.test`,
    password,
    consents,
  });
  const { status, body } = await askServer(`${pds.url}/oauth/token`, jwk, {
    grant_type: "authorization_code",
    code: new URLSearchParams(back).get("code") ?? "",
    redirect_uri: redirectUri,
    client_id: shop.clientIdUrl,
    code_verifier: verifier,
  });
  if (status !== 200) throw new Error(`no tokens: ${status} ${JSON.stringify(body)}`);
  return {
    provisionId,
    did: String(body["sub"]),
    accessToken: String(body["access_token"]),
    refreshToken: String(body["refresh_token"]),
    scopes: String(body["scope"]),
    issuer: pds.url,
    dpopKey: rawJwk,
  };
}

export async function signInAtShop(
  sdk: HappyViewOAuthClient,
  name: string,
  atmosphere: Pick<Atmosphere, "pds">,
): Promise<HappyViewSession> {
  return sdk.registerSession(await signInAtPds(sdk, name, atmosphere));
}

/** Asks an authorization server with a proof of the key, once more with the nonce that it wants. */
export async function askServer(
  url: string,
  jwk: JWK,
  form: Record<string, string>,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const { kty, crv, x, y } = jwk;
  const ask = async (nonce: string | null): Promise<Response> => {
    const claims = { htm: "POST", htu: url, jti: randomUUID(), ...(nonce === null ? {} : { nonce }) };
    const dpop = await new SignJWT(claims)
      .setIssuedAt()
      .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: { kty, crv, x, y } as JWK })
      .sign(await importJWK(jwk, "ES256"));
    return fetch(url, { method: "POST", headers: { dpop }, body: new URLSearchParams(form) });
  };
  const first = await ask(null);
  const nonce = first.headers.get("dpop-nonce");
  const answer = first.status === 400 && nonce !== null ? await ask(nonce) : first;
  const text = await answer.text();
  return { status: answer.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}
