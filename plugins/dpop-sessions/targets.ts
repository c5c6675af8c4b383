import { HttpError, type Caller, type PdsAnswer, type PdsWriter, type XrpcCall } from "../../core/index.ts";
import type { ApiClientsApi } from "../api-clients/index.ts";
import type { CallPds, PdsCall } from "./pds.ts";
import type { Refreshed } from "./refreshed.ts";
import type { Session, Sessions } from "./sessions.ts";
import type { Target } from "./writes.ts";

/** Decides in whose repo a caller may write instead of his own. @throws HttpError 403 */
export type Delegation = (caller: Caller, delegateDid: string) => Promise<void>;

/** In whose session, and so in which repo, a request of a caller acts. */
export interface Targets {
  /** The session of the caller himself; undefined without one. */
  ofCaller(caller: Caller): Promise<Session | undefined>;
  /** The caller's own repo. @throws HttpError 401 */
  own(call: Pick<XrpcCall, "caller">, method: string): Promise<Target>;
  /** His own, or that of an account for which he may write. @throws HttpError 401, 403 */
  target(call: XrpcCall, delegateDid: string | undefined): Promise<Target>;
  /** The same for scripts. */
  writer: PdsWriter;
  delegateBy(delegation: Delegation): void;
}

export function createTargets(parts: {
  clients: Pick<ApiClientsApi, "find">;
  sessions: Pick<Sessions, "get" | "ofUser" | "latestOf">;
  callPds: CallPds;
  refreshed: Pick<Refreshed, "tell">;
}): Targets {
  const { clients, sessions, callPds, refreshed } = parts;
  let delegation: Delegation | undefined;

  async function ofCaller({ did, clientKey, sessionId }: Caller): Promise<Session | undefined> {
    if (sessionId !== undefined) return sessions.get(sessionId);
    if (did === null) return undefined;
    const client = clientKey === null ? undefined : await clients.find(clientKey);
    return client ? (await sessions.ofUser(client.id, did))[0] : sessions.latestOf(did);
  }

  async function delegated(caller: Caller, delegateDid: string): Promise<Session> {
    const client = caller.clientKey === null ? undefined : await clients.find(caller.clientKey);
    if (!delegation || !client) throw new HttpError(401, "delegation requires DPoP authentication");
    await delegation(caller, delegateDid);
    const [session] = await sessions.ofUser(client.id, delegateDid);
    if (!session) throw new HttpError(401, `no session of ${delegateDid}: it has to sign in again`);
    return session;
  }

  function toTarget(session: Session, caller: Caller): Target {
    const tell = (current: Session): void => {
      // Of a session for which the caller only writes, his app has no token.
      if (current.id === caller.sessionId) refreshed.tell(caller, current);
    };
    tell(session); // another request may have refreshed it since this one began
    return { did: session.did, scopes: session.scopes, call: (call) => callPds(session, call, tell) };
  }

  return {
    ofCaller,
    async own({ caller }, method) {
      const session = caller.did === null ? undefined : await ofCaller(caller);
      if (!session) throw new HttpError(401, `${method} requires DPoP authentication`);
      return toTarget(session, caller);
    },
    async target({ caller }, delegateDid) {
      if (delegateDid !== undefined) return toTarget(await delegated(caller, delegateDid), caller);
      const session = await ofCaller(caller);
      if (!session) throw new HttpError(401, `no OAuth session for ${caller.did}: sign in again`);
      return toTarget(session, caller);
    },
    writer: {
      async session({ caller, delegateDid }) {
        const session =
          delegateDid === undefined ? await ofCaller(caller) : await delegated(caller, delegateDid);
        if (!session) return undefined;
        const { call } = toTarget(session, caller);
        const post = async (request: Omit<PdsCall, "method">): Promise<PdsAnswer> => {
          const { status, body } = await call({ method: "POST", ...request });
          return { status, body };
        };
        return {
          post: (path, body) => post({ path, contentType: "application/json", body }),
          upload: (body, contentType) =>
            post({ path: "com.atproto.repo.uploadBlob", contentType, body, isUpload: true }),
        };
      },
    },
    delegateBy: (decide) => void (delegation = decide),
  };
}
