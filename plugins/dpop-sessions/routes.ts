import { z } from "zod";
import { HttpError, json, reply, type PluginApp } from "../../core/index.ts";
import { toReply } from "../../core/http/reply.ts";
import { readText, type HttpRequest } from "../../core/http/request.ts";
import type { RouteContext } from "../../core/http/router.ts";
import type { ApiClient } from "../api-clients/index.ts";
import type { RateLimitsApi } from "../rate-limits/index.ts";
import type { Authenticate } from "./authenticate.ts";
import type { ClientAuth } from "./client-auth.ts";
import type { DpopKeys } from "./keys.ts";
import { register, registration, type RegisterParts } from "./register.ts";
import type { Session, Sessions } from "./sessions.ts";

export interface RouteParts extends RegisterParts {
  app: RegisterParts["app"] & Pick<PluginApp, "http">;
  auth: ClientAuth;
  authenticate: Authenticate;
  keys: DpopKeys;
  sessions: Sessions;
  /** Removes sessions; what it returns tells their authorization servers. */
  end(sessions: readonly Session[]): Promise<() => Promise<void>>;
  /** @throws HttpError 500 without an encryption key */
  requireEncryption(): void;
  /** Takes a request from its client's bucket, where there are rate limits. @throws HttpError 429 */
  charge?: RateLimitsApi["charge"] | undefined;
}

const provision = z.object({ pkce_challenge: z.string().max(128).nullish() });

/** `/oauth/*` for apps (auth §1.3, §4). */
export function sessionRoutes(parts: RouteParts): void {
  const { app, auth, keys, end, requireEncryption } = parts;
  const route: typeof app.http.route = (pattern, handler) =>
    app.http.route(pattern, async (context) => {
      const headers = await parts.charge?.(context);
      const { status, body, headers: own } = toReply(await handler(context));
      return reply(status, body, { ...own, ...headers });
    });

  route("POST /oauth/dpop-keys", async ({ request }) => {
    auth.keyOf(request);
    const body = await readBody(request, provision);
    requireEncryption();
    const isConfidential = auth.hasSecret(request);
    if (!isConfidential && body.pkce_challenge == null)
      throw new HttpError(400, "public clients must provide pkce_challenge");
    const client = isConfidential ? await auth.confidential(request) : await auth.public(request);
    const { key, jwk } = await keys.provision(client.id, body.pkce_challenge ?? null);
    app.events.emit({
      type: "dpop_key.provisioned",
      subject: key.provisionId,
      detail: { client_key: client.clientKey, thumbprint: key.thumbprint },
    });
    return json({ provision_id: key.provisionId, dpop_key: jwk }, 201);
  });

  route("POST /oauth/sessions", async ({ request }) => {
    auth.keyOf(request);
    const body = await readBody(request, registration);
    requireEncryption();
    const session = await register(request, body, parts);
    return json({ session_id: session.id, did: session.did, scopes: session.scopes }, 201);
  });

  route("GET /oauth/sessions/:did", async (context) => {
    requireEncryption();
    const { owned, own } = await access(context, parts);
    const session = own ?? owned[0];
    if (!session) throw new HttpError(404, "DPoP session not found");
    return { did: session.did, scopes: session.scopes };
  });

  route("DELETE /oauth/sessions/:did", async (context) => {
    const { client, owned, own } = await access(context, parts);
    // A secret ends them all; a device's key ends that device.
    const ended = own ? [own] : owned;
    await (
      await end(ended)
    )();
    const did = context.params["did"] ?? "";
    app.events.emit({ type: "dpop_session.deleted", actor: did, subject: client.clientKey });
  });

  route("GET /oauth/sessions/:did/devices", async (context) =>
    (await access(context, parts)).owned.map(deviceView),
  );

  route("DELETE /oauth/sessions/:did/devices/:id", async (context) => {
    const { client, owned } = await access(context, parts);
    const session = owned.find(({ id }) => id === context.params["id"]);
    if (!session) throw new HttpError(404, "DPoP session not found");
    await (
      await end([session])
    )();
    app.events.emit({
      type: "dpop_session.device_deleted",
      actor: session.did,
      subject: client.clientKey,
      detail: { session_id: session.id },
    });
  });

  // A client that wants to learn of a refresh: only who holds the key is given the token.
  route("POST /oauth/sessions/:did/token", async (context) => {
    requireEncryption();
    const { own } = await access(context, parts);
    if (!own) throw new HttpError(401, "the token is given to the holder of the session's key only");
    return json(
      { did: own.did, access_token: own.accessToken(), expires_at: own.expiresAt, scopes: own.scopes },
      200,
      { "cache-control": "no-store" },
    );
  });
}

interface Access {
  client: ApiClient;
  /** The sessions of the account in the path under this client. */
  owned: Session[];
  /** The session of the key that signed, when a key did. */
  own: Session | undefined;
}

/** By secret for any user of the client, by proof for the account whose device it is (auth §1.2, §10). */
async function access({ request, params }: RouteContext, parts: RouteParts): Promise<Access> {
  const { auth, authenticate, sessions } = parts;
  const did = params["did"] ?? "";
  auth.keyOf(request);
  if (auth.hasSecret(request)) {
    const client = await auth.confidential(request);
    return { client, owned: await sessions.ofUser(client.id, did), own: undefined };
  }
  const { headers } = request;
  const authorization = headers.get("authorization");
  if (authorization === null) throw new HttpError(401, "DPoP auth requires Authorization: DPoP <token>");
  if (!authorization.startsWith("DPoP "))
    throw new HttpError(401, "DPoP auth requires the DPoP authorization scheme");
  if (headers.get("dpop") === null) throw new HttpError(401, "DPoP auth requires a DPoP proof header");
  const { client, session } = await authenticate(request);
  if (session.did !== did) throw new HttpError(403, "the session is of another account");
  return { client, owned: await sessions.ofUser(client.id, did), own: session };
}

function deviceView({ id, keyId, scopes, createdAt, updatedAt }: Session): Record<string, unknown> {
  return { id, dpop_key_id: keyId, scopes, created_at: createdAt, updated_at: updatedAt };
}

/** `/oauth` refuses bad bodies in its own words (auth §0). @throws HttpError 400 */
async function readBody<Schema extends z.ZodType>(
  request: HttpRequest,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const text = await readText(request);
  let value: unknown;
  try {
    value = JSON.parse(text === "" ? "{}" : text);
  } catch (error) {
    throw new HttpError(400, `invalid request body: ${error instanceof Error ? error.message : ""}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new HttpError(400, `invalid request body: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`);
}
