import { isLocal, publicUrl } from "../../core/config/resolve.ts";
import { definePlugin, HttpError, type PdsWriter, type XrpcCall } from "../../core/index.ts";
import { createOutgoingFetch } from "../../core/http/outgoing.ts";
import { createSecretBox } from "../../core/secret-box.ts";
import { apiClients } from "../api-clients/index.ts";
import { rateLimits } from "../rate-limits/index.ts";
import { users } from "../users/index.ts";
import { createAuthenticate } from "./authenticate.ts";
import { createClientAuth } from "./client-auth.ts";
import { createDpopFetch } from "./dpop-fetch.ts";
import { fixedMethods } from "./fixed-methods.ts";
import { createGrants, maxWaiting } from "./grants.ts";
import { createDpopKeys } from "./keys.ts";
import { createRefreshLease } from "./lease.ts";
import { migrations } from "./migrations.ts";
import { createOwnPds } from "./own-pds.ts";
import { createCallPds } from "./pds.ts";
import { createRefresh } from "./refresh.ts";
import { createRefreshed } from "./refreshed.ts";
import { createReplays } from "./replay.ts";
import { sessionRoutes } from "./routes.ts";
import { createSessions, type Session } from "./sessions.ts";
import { createTargets, type Delegation } from "./targets.ts";
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

export type { Delegation };

/** What other plugins get. */
export interface DpopSessionsApi {
  /** Sessions in which scripts write. */
  writer: PdsWriter;
  /** Who may write for others is known to another plugin. */
  delegateBy(delegation: Delegation): void;
  /** The sessions of an account under a client. */
  ofUser(clientId: string, did: string): Promise<Session[]>;
  /** Ends sessions: here at once, at their authorization servers in the background. */
  end(sessions: readonly Session[]): Promise<void>;
  /** The caller's own repo. @throws HttpError 401 */
  own(call: XrpcCall, method: string): Promise<Target>;
}

/** A blob of 50 MiB over a slow line. */
const uploadTimeoutMs = 120_000;

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
    const grants = createGrants({ app, clients, keys, fetch: app.fetch, send });
    const refresh = createRefresh({
      app,
      sessions,
      lease: createRefreshLease(app, box),
      grants,
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
    const refreshed = createRefreshed(app);
    const targets = createTargets({ clients, sessions, callPds, refreshed });

    /** Removes them here; what it returns tells their authorization servers. */
    async function end(ended: readonly Session[]): Promise<() => Promise<void>> {
      const open = await grants.of(ended);
      await sessions.remove(ended);
      return () => grants.revoke(open);
    }
    const requireEncryption = (): void => {
      if (!box.isSealing) throw new HttpError(500, "TOKEN_ENCRYPTION_KEY not configured");
    };
    sessionRoutes({
      app,
      auth: createClientAuth(clients),
      authenticate,
      keys,
      sessions,
      send,
      end,
      verifyTokens: options.verifyTokens ?? true,
      requireEncryption,
      charge: limits?.charge,
    });
    clients.beforeRemove(async (ids) => {
      const ended: Session[] = [];
      for (const id of ids)
        if (ended.length < maxWaiting) ended.push(...(await sessions.ofClient(id, maxWaiting)));
      const open = await grants.of(ended);
      return () => void grants.revoke(open);
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
      refreshed.begin(caller, session);
      return caller;
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

    const { own, target, writer, delegateBy } = targets;
    app.xrpc.defaultProcedure((call) => defaultProcedure(call, { app, target }));
    app.xrpc.ownPds(createOwnPds({ app, own }));
    fixedMethods(app, own);
    return {
      writer,
      delegateBy,
      ofUser: sessions.ofUser,
      end: async (ended) => void (await end(ended))(),
      own,
    };
  },
});
