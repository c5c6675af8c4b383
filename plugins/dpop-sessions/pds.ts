import type { JWK } from "jose";
import { PdsAuthError, type PluginApp } from "../../core/index.ts";
import { errorOf, type DpopAnswer, type DpopFetch } from "./dpop-fetch.ts";
import type { DpopKeys } from "./keys.ts";
import type { Refresh } from "./refresh.ts";
import type { Session } from "./sessions.ts";

export interface PdsCall {
  method: "GET" | "POST";
  /** `com.atproto.repo.createRecord?…` */
  path: string;
  contentType?: string;
  body?: string | Uint8Array<ArrayBuffer>;
  headers?: Readonly<Record<string, string>>;
  /** It carries a blob, which takes its time. */
  isUpload?: boolean;
}

/**
 * Calls of an account's own PDS with its session; a token that has run out is refreshed once (auth §5.2), and who calls
 * is told of it.
 */
export type CallPds = (
  session: Session,
  call: PdsCall,
  refreshed: (session: Session) => void,
) => Promise<DpopAnswer>;

export function createCallPds(parts: {
  app: Pick<PluginApp, "identity">;
  keys: DpopKeys;
  send: DpopFetch;
  refresh: Refresh;
}): CallPds {
  const { app, keys, send, refresh } = parts;
  return async (session, call, refreshed) => {
    const key = await keys.get(session.keyId);
    if (!key) throw new PdsAuthError("session expired, please re-authenticate");
    const jwk = keys.open(key);
    const pds = session.pdsUrl ?? (await app.identity.pds(session.did));
    const first = await request(session, jwk);
    if (!isTokenRefused(first)) return first;
    const fresh = await refresh(session, jwk);
    refreshed(fresh);
    return request(fresh, jwk);

    function request(current: Session, privateKey: JWK): Promise<DpopAnswer> {
      const { method, path, contentType, body, headers, isUpload } = call;
      return send({
        method,
        url: `${pds.replace(/\/$/, "")}/xrpc/${path}`,
        jwk: privateKey,
        accessToken: current.accessToken(),
        headers: { ...headers, ...(contentType === undefined ? {} : { "content-type": contentType }) },
        ...(body === undefined ? {} : { body }),
        ...(isUpload === undefined ? {} : { isUpload }),
      });
    }
  };
}

/** Only what says that the token is no longer good: other refusals would be the same with a new one. */
function isTokenRefused({ status, headers, body }: DpopAnswer): boolean {
  if (status !== 401) return false;
  if ((headers.get("www-authenticate") ?? "").includes("invalid_token")) return true;
  return ["invalid_token", "InvalidToken", "ExpiredToken"].includes(errorOf(body));
}
