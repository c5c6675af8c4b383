import { HttpError, type PluginApp } from "../../core/index.ts";
import { splitUrl, type HttpRequest } from "../../core/http/request.ts";
import type { ApiClient, ApiClientsApi } from "../api-clients/index.ts";
import type { DpopKey, DpopKeys } from "./keys.ts";
import { parseHeader, verifyProof } from "./proof.ts";
import type { Replays } from "./replay.ts";
import type { Session, Sessions } from "./sessions.ts";

/** What a proof shows: the app, the key, and the session of that key. */
export interface Proven {
  client: ApiClient;
  key: DpopKey;
  session: Session;
}

export interface AuthenticateParts {
  app: Pick<PluginApp, "clock">;
  clients: Pick<ApiClientsApi, "find">;
  keys: DpopKeys;
  sessions: Sessions;
  replays: Replays;
  /** The scheme under which clients reach this instance. */
  scheme: "http" | "https";
}

/** Who sends a request with `Authorization: DPoP`, `DPoP` and `X-Client-Key` (auth §2). @throws HttpError 401 */
export type Authenticate = (request: HttpRequest) => Promise<Proven>;

/**
 * Holding the key is the login: the access token is only bound to the proof, so that a client whose token was refreshed
 * here keeps working with the one it has (auth §3.4).
 */
export function createAuthenticate(parts: AuthenticateParts): Authenticate {
  const { app, clients, keys, sessions, replays, scheme } = parts;
  return async (request) => {
    const { headers } = request;
    const clientKey = headers.get("x-client-key");
    if (clientKey === null) throw refused("DPoP auth requires X-Client-Key header");
    const jwt = headers.get("dpop");
    if (jwt === null) throw refused("DPoP auth requires DPoP header");
    const client = await clients.find(clientKey);
    if (!client) throw refused("unknown client");
    const { thumbprint } = await parseHeader(jwt);
    const key = await keys.byThumbprint(client.id, thumbprint);
    if (!key) throw refused("no DPoP key matching proof thumbprint");
    const session = await sessions.byKey(key.id);
    if (!session) throw refused("no matching DPoP session");
    const proof = await verifyProof(jwt, {
      method: request.method,
      url: `${scheme}://${headers.get("host") ?? ""}${splitUrl(request.url).path}`,
      accessToken: headers.get("authorization")?.slice("DPoP ".length).trim() ?? "",
      now: app.clock.now(),
    });
    if (proof.thumbprint !== key.thumbprint) throw refused("DPoP proof key does not match session");
    await replays.accept(proof);
    return { client, key, session };
  };
}

function refused(reason: string): HttpError {
  return new HttpError(401, reason);
}
