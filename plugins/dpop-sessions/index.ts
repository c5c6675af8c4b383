import { isLocal, publicUrl } from "../../core/config/resolve.ts";
import {
  definePlugin,
  HttpError,
  type Caller,
  type PdsAnswer,
  type PdsWriter,
  type XrpcCall,
} from "../../core/index.ts";
import { createOutgoingFetch } from "../../core/http/outgoing.ts";
import { createSecretBox } from "../../core/secret-box.ts";
import { apiClients } from "../api-clients/index.ts";
import { rateLimits } from "../rate-limits/index.ts";
import { users } from "../users/index.ts";
import { createAuthenticate } from "./authenticate.ts";
import { createClientAuth } from "./client-auth.ts";
import { createDpopFetch } from "./dpop-fetch.ts";
import { fixedMethods } from "./fixed-methods.ts";
import { createDpopKeys } from "./keys.ts";
import { createRefreshLease } from "./lease.ts";
import { migrations } from "./migrations.ts";
import { createOwnPds } from "./own-pds.ts";
import { createCallPds, type PdsCall } from "./pds.ts";
import { createRefresh } from "./refresh.ts";
import { createReplays } from "./replay.ts";
import { createRevoke } from "./revoke.ts";
import { sessionRoutes } from "./routes.ts";
import { createSessions, type Session } from "./sessions.ts";
import { upkeep } from "./upkeep.ts";
import { defaultProcedure, type Target } from "./writes.ts";

export interface DpopSessionsOptions {
  /** Asks the account's PDS whose token it is when a session is registered; off only for tests with made-up tokens. @default true */
  verifyTokens?: boolean;
  /** For how long, in milliseconds, a process that dies while it refreshes a session holds the others up. @default 15_000 */
  refreshLeaseMs?: number;
  /** How often keys are looked for with which nobody signed in. @default 600_000 */
  sweepEveryMs?: number;
}

/** Decides in whose repo a caller may write instead of his own. @throws HttpError 403 */
export type Delegation = (caller: Caller, delegateDid: string) => Promise<void>;

/** What other plugins get. */
export interface DpopSessionsApi {
  /** Sessions in which scripts write. */
  writer: PdsWriter;
  /** Who may write for others is known to another plugin. */
  delegateBy(delegation: Delegation): void;
  /** The sessions of an account under a client. */
  ofUser(clientId: string, did: string): Promise<Session[]>;
  remove(sessions: readonly Session[]): Promise<void>;
  /** The caller's own repo. @throws HttpError 401 */
  own(call: XrpcCall, method: string): Promise<Target>;
}

/** A blob of 50 MiB over a slow line. */
const uploadTimeoutMs = 120_000;

/** Tells an app that its token was refreshed here, and until when the new one is good; `…/token` gives it. */
const refreshedHeader = "x-happyview-session-refreshed";

/**
 * Sessions of users on their devices: apps register what a PDS gave them, prove themselves by a key, and write through
 * this instance; tokens are refreshed here without ending any of them (auth §1–5).
 * @example plugins: [apiClients(), dpopSessions()] // with TOKEN_ENCRYPTION_KEY in the environment
 */
export const dpopSessions = definePlugin({
  name: "dpop-sessions",
  needs: { clients: apiClients },
  wants: { users, limits: rateLimits },
  migrations,
  setup(app, options: DpopSessionsOptions, { clients, users: admins, limits }): DpopSessionsApi {
    const { env } = app.config;
    const box = createSecretBox(env["TOKEN_ENCRYPTION_KEY"], env["TOKEN_ENCRYPTION_KEY_PREVIOUS"]);
    const keys = createDpopKeys(app, box);
    const sessions = createSessions(app, box);
    const fetchUpload = createOutgoingFetch({
      allowPrivate: isLocal(app.config),
      timeoutMs: uploadTimeoutMs,
    });
    const send = createDpopFetch(app.fetch, app.clock.now, fetchUpload);
    const refresh = createRefresh({
      app,
      sessions,
      lease: createRefreshLease(app, box),
      clients,
      fetch: app.fetch,
      send,
      leaseMs: options.refreshLeaseMs,
    });
    const callPds = createCallPds({ app, keys, send, refresh });
    const replays = createReplays(app.db, app.clock.now);
    app.onClose(() => replays.close());
    upkeep({ app, keys, box, sweepEveryMs: options.sweepEveryMs ?? 600_000 });
    const scheme = publicUrl(app.config).startsWith("https:") ? "https" : "http";
    const authenticate = createAuthenticate({ app, clients, keys, sessions, replays, scheme });
    const auth = createClientAuth(clients);
    let delegation: Delegation | undefined;
    /** Callers whose app holds an older token than the PDS knows. */
    const refreshed = new WeakMap<Caller, Session>();

    const requireEncryption = (): void => {
      if (!box.isSealing) throw new HttpError(500, "TOKEN_ENCRYPTION_KEY not configured");
    };
    sessionRoutes({
      app,
      auth,
      authenticate,
      keys,
      sessions,
      send,
      revoke: createRevoke({ app, clients, keys, fetch: app.fetch, send }),
      verifyTokens: options.verifyTokens ?? true,
      requireEncryption,
      charge: limits?.charge,
    });

    app.callers.xrpc.push(async (request) => {
      if (!request.headers.get("authorization")?.startsWith("DPoP ")) return undefined;
      requireEncryption();
      const { client, session } = await authenticate(request);
      const caller = {
        did: session.did,
        clientKey: client.clientKey,
        permissions: new Set<string>(),
        sessionId: session.id,
      };
      if (session.refreshedAt !== null) refreshed.set(caller, session);
      return caller;
    });
    app.hook("request", (admission) => {
      const session = refreshed.get(admission.caller);
      if (session) admission.headers = { ...admission.headers, [refreshedHeader]: session.expiresAt ?? "" };
    });
    if (admins)
      app.callers.admin.push(async (request) => {
        const header = request.headers.get("authorization");
        if (!header?.startsWith("DPoP ") || header.startsWith("DPoP hv_")) return undefined;
        const { client, session } = await authenticate(request);
        // Anybody who signs in somewhere can register one, and wait for an admin to sign in to it.
        if (client.parentId !== null)
          throw new HttpError(403, "an app that a user registered has no access to /admin");
        return admins.account(session.did, client.clientKey);
      });

    const toTarget = (session: Session): Target => ({
      did: session.did,
      call: (call) => callPds(session, call),
    });
    async function sessionOf({ did, clientKey, sessionId }: Caller): Promise<Session | undefined> {
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
    async function own({ caller }: XrpcCall, method: string): Promise<Target> {
      const session = caller.did === null ? undefined : await sessionOf(caller);
      if (!session) throw new HttpError(401, `${method} requires DPoP authentication`);
      return toTarget(session);
    }
    async function target({ caller }: XrpcCall, delegateDid: string | undefined): Promise<Target> {
      if (delegateDid !== undefined) return toTarget(await delegated(caller, delegateDid));
      const session = await sessionOf(caller);
      if (!session) throw new HttpError(401, `no OAuth session for ${caller.did}: sign in again`);
      return toTarget(session);
    }
    app.xrpc.defaultProcedure((call) => defaultProcedure(call, { app, target }));
    app.xrpc.ownPds(createOwnPds({ app, sessionOf, callPds }));
    fixedMethods(app, own);

    return {
      writer: {
        async session({ caller, delegateDid }) {
          const session =
            delegateDid === undefined ? await sessionOf(caller) : await delegated(caller, delegateDid);
          if (!session) return undefined;
          const post = async (call: Omit<PdsCall, "method">): Promise<PdsAnswer> => {
            const { status, body } = await callPds(session, { method: "POST", ...call });
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
      ofUser: sessions.ofUser,
      remove: sessions.remove,
      own,
    };
  },
});
