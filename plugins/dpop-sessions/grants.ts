import type { JWK } from "jose";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { ApiClientsApi } from "../api-clients/index.ts";
import { errorOf, type DpopFetch } from "./dpop-fetch.ts";
import type { DpopKeys } from "./keys.ts";
import { endpointOf } from "./metadata.ts";
import type { Session } from "./sessions.ts";

/** What it takes to end a grant at its authorization server, also when its session is gone here. */
export interface Grant {
  issuer: string;
  /** The OAuth client_id of the app. */
  clientId: string;
  token: string;
  jwk: JWK;
}

export interface Grants {
  /** Of sessions that are still stored; one without an issuer has none that could be told. */
  of(sessions: readonly Session[]): Promise<Grant[]>;
  /**
   * Tells the authorization servers that they are over (RFC 7009). Resolves when that is done, after three seconds at
   * the latest, and goes on in the background; what cannot be told is a line in the log.
   */
  revoke(grants: readonly Grant[]): Promise<void>;
}

/** How many grants wait to be revoked at the most; those above are left to run out. */
export const maxWaiting = 1000;
const atOnce = 8;
const maxWaitMs = 3000;

export function createGrants(parts: {
  app: Pick<PluginApp, "log" | "onClose">;
  clients: Pick<ApiClientsApi, "get">;
  keys: Pick<DpopKeys, "many" | "open">;
  fetch: OutgoingFetch;
  send: DpopFetch;
}): Grants {
  const { app, clients, keys, fetch, send } = parts;
  const waiting: (() => Promise<void>)[] = [];
  const running = new Set<Promise<void>>();
  let isClosing = false;
  app.onClose(async () => {
    isClosing = true;
    await atMost(maxWaitMs, Promise.all(running));
  });

  function inTurn(work: () => Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.push(() =>
      (isClosing ? Promise.reject(new Error("the instance closes")) : work()).then(resolve, reject),
    );
    next();
    return promise;
  }

  function next(): void {
    while (running.size < atOnce) {
      const work = waiting.shift()?.();
      if (!work) return;
      running.add(work);
      void work.finally(() => {
        running.delete(work);
        next();
      });
    }
  }

  async function tell({ clientId, token, jwk }: Grant, endpoint: string): Promise<void> {
    const { status, body } = await send({
      method: "POST",
      url: endpoint,
      jwk,
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ token, client_id: clientId }).toString(),
    });
    if (status >= 400) throw new Error(`${new URL(endpoint).origin} answers ${status} ${errorOf(body)}`);
  }

  async function revokeAll(grants: readonly Grant[]): Promise<void> {
    const room = grants.slice(0, Math.max(0, maxWaiting - waiting.length));
    // Asked once for each server: one that is away costs one time-out.
    const endpoints = new Map<string, Promise<string | undefined>>();
    const failures: unknown[] = [];
    const works = room.map((grant) =>
      inTurn(async () => {
        const { issuer } = grant;
        const asked = endpoints.get(issuer) ?? endpointOf(issuer, "revocation_endpoint", fetch);
        endpoints.set(issuer, asked);
        const endpoint = await asked;
        if (endpoint !== undefined) await tell(grant, endpoint);
      }).catch((error: unknown) => void failures.push(error)),
    );
    await Promise.all(works);
    const left = grants.length - room.length;
    if (failures.length + left === 0) return;
    app.log.warn("sessions could not be revoked at their authorization servers", {
      count: failures.length + left,
      error: failures.length > 0 ? explain(failures[0]) : `more than ${maxWaiting} wait for it`,
    });
  }

  return {
    async of(sessions) {
      const found = await keys.many(sessions.map(({ keyId }) => keyId));
      const clientIds = new Map<string, string | undefined>();
      for (const id of new Set(sessions.map(({ clientId }) => clientId)))
        clientIds.set(id, (await clients.get(id))?.clientIdUrl);
      return sessions.flatMap((session) => {
        const key = found.get(session.keyId);
        const clientId = clientIds.get(session.clientId);
        if (!key || clientId === undefined || session.issuer === null) return [];
        try {
          const token = session.refreshToken() ?? session.accessToken();
          return [{ issuer: session.issuer, clientId, token, jwk: keys.open(key) }];
        } catch (error) {
          // It is sealed with a key that is gone; that must not keep it from being removed.
          app.log.warn("a session cannot be read to revoke it", {
            session: session.id,
            error: explain(error),
          });
          return [];
        }
      });
    },
    revoke: (grants) => atMost(maxWaitMs, revokeAll(grants)),
  };
}

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const limit = new Promise<void>((resolve) => setTimeout(resolve, ms).unref());
  await Promise.race([work, limit]);
}
