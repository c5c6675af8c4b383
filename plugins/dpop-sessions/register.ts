import { createHash } from "node:crypto";
import type { JWK } from "jose";
import { z } from "zod";
import { isValidDid } from "@atproto/syntax";
import { explain } from "../../core/errors.ts";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { HttpRequest } from "../../core/http/request.ts";
import type { ApiClient } from "../api-clients/index.ts";
import type { ClientAuth } from "./client-auth.ts";
import type { DpopFetch } from "./dpop-fetch.ts";
import type { DpopKey, DpopKeys } from "./keys.ts";
import { checkScopes } from "./scopes.ts";
import type { Session, Sessions } from "./sessions.ts";

export interface RegisterParts {
  app: Pick<PluginApp, "identity" | "lexicons" | "log" | "events">;
  auth: ClientAuth;
  keys: DpopKeys;
  sessions: Sessions;
  send: DpopFetch;
  /** Asks the account's PDS whose token it is. */
  verifyTokens: boolean;
}

export const registration = z.object({
  provision_id: z.string(),
  pkce_verifier: z.string().nullish(),
  did: z.string().max(2048),
  access_token: z.string().min(1).max(16_384),
  refresh_token: z.string().max(16_384).nullish(),
  expires_at: z.string().nullish(),
  scopes: z.string().max(8192),
  pds_url: z.string().nullish(),
  issuer: z.string().max(2048).nullish(),
});

type Registration = z.infer<typeof registration>;

/** `POST /oauth/sessions`: an app hands over what the user's PDS gave it (auth §1.3, step 3). */
export async function register(
  request: HttpRequest,
  body: Registration,
  parts: RegisterParts,
): Promise<Session> {
  const { app, keys, sessions } = parts;
  const key = await keys.byProvision(body.provision_id);
  if (!key) throw new HttpError(404, "DPoP key not found");
  const client = await owner(request, body, key, parts);
  const scopes = [...new Set(body.scopes.split(/\s+/).filter(Boolean))];
  checkScopes(scopes, client.scopes, {
    lexicon: (nsid) => app.lexicons.get(nsid)?.document,
    unknownSet: (nsid) =>
      app.log.warn("a client may ask for a permission set that is not known here", { nsid }),
  });
  if (!isValidDid(body.did)) throw new HttpError(400, "did is not a DID");
  const pds = await pdsOf(body.did, app);
  if (parts.verifyTokens) await verifyToken(body, pds, keys.open(key), parts.send);
  const session = await sessions.put({
    clientId: client.id,
    keyId: key.id,
    did: body.did,
    accessToken: body.access_token,
    refreshToken: body.refresh_token ?? undefined,
    expiresAt: body.expires_at ?? undefined,
    scopes,
    // The document says where an account lives; what the app says could lead anywhere.
    pdsUrl: undefined,
    issuer: body.issuer ?? undefined,
  });
  const refreshable = body.refresh_token != null && body.issuer != null;
  app.events.emit({
    type: "dpop_session.created",
    severity: refreshable ? "info" : "warn",
    actor: body.did,
    subject: client.clientKey,
    detail: { scopes, refreshable },
  });
  return session;
}

async function owner(
  request: HttpRequest,
  body: Registration,
  key: DpopKey,
  { auth }: Pick<RegisterParts, "auth">,
): Promise<ApiClient> {
  let client: ApiClient;
  if (auth.hasSecret(request)) client = await auth.confidential(request);
  else {
    if (body.pkce_verifier == null) throw new HttpError(400, "public clients must provide pkce_verifier");
    if (key.pkceChallenge === null) throw new HttpError(400, "no PKCE challenge found for this provision");
    const challenge = createHash("sha256").update(body.pkce_verifier).digest("base64url");
    if (challenge !== key.pkceChallenge) throw new HttpError(401, "PKCE verification failed");
    client = await auth.any(request);
  }
  if (client.id !== key.clientId) throw new HttpError(401, "provision_id does not belong to this client");
  return client;
}

async function pdsOf(did: string, { identity }: Pick<PluginApp, "identity">): Promise<string> {
  return identity.pds(did).catch((error: unknown) => {
    throw new HttpError(401, `access token verification failed (${explain(error).slice(0, 200)})`);
  });
}

async function verifyToken(
  { did, access_token: accessToken }: Registration,
  pds: string,
  jwk: JWK,
  send: DpopFetch,
): Promise<void> {
  const answer = await send({
    method: "GET",
    url: `${pds}/xrpc/com.atproto.server.getSession`,
    jwk,
    accessToken,
  }).catch(() => {
    throw new HttpError(401, "access token verification failed (the PDS does not answer)");
  });
  if (answer.status !== 200) throw new HttpError(401, `access token verification failed (${answer.status})`);
  if (didOf(answer.body) !== did) throw new HttpError(401, "access token does not belong to the claimed DID");
}

function didOf(body: string): unknown {
  try {
    return (JSON.parse(body) as { did?: unknown }).did;
  } catch {
    return undefined;
  }
}
