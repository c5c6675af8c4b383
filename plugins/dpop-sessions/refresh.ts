import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { JWK } from "jose";
import { z } from "zod";
import { explain } from "../../core/errors.ts";
import { PdsAuthError, type PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { ApiClientsApi } from "../api-clients/index.ts";
import { errorOf, type DpopFetch } from "./dpop-fetch.ts";
import type { Grants } from "./grants.ts";
import type { NewTokens, RefreshLease } from "./lease.ts";
import { endpointOf } from "./metadata.ts";
import type { Session, Sessions } from "./sessions.ts";

export interface RefreshParts {
  sessions: Sessions;
  lease: RefreshLease;
  grants: Pick<Grants, "revoke">;
  clients: Pick<ApiClientsApi, "get">;
  fetch: OutgoingFetch;
  send: DpopFetch;
  app: Pick<PluginApp, "clock" | "log" | "events">;
  /** How long a process that died in the middle of a refresh holds the others up. @default 15_000 */
  leaseMs?: number | undefined;
}

/**
 * A session whose access token the PDS no longer takes, with another one.
 * @throws PdsAuthError when the user has to sign in again, or the authorization server cannot be asked now
 */
export type Refresh = (session: Session, jwk: JWK) => Promise<Session>;

const pollMs = 50;
const maxWaitMs = 30_000;

const tokens = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().optional(),
  expires_in: z.number().optional(),
});

/**
 * A PDS ends the whole grant when a refresh token is used twice (auth §3.4), so one process at a time refreshes a
 * session, under a lease in the database; everybody else waits for what it gets.
 */
export function createRefresh(parts: RefreshParts): Refresh {
  const { sessions, lease, grants, clients, app, leaseMs = 15_000 } = parts;
  const running = new Map<string, Promise<Session>>();

  async function refresh(stale: Session, jwk: JWK): Promise<Session> {
    const failed = stale.accessToken();
    const token = randomUUID();
    for (const until = app.clock.now() + maxWaitMs; app.clock.now() < until; await sleep(pollMs)) {
      const session = await sessions.get(stale.id);
      if (!session) throw expired();
      if (session.accessToken() !== failed) return session; // somebody else has refreshed it
      if (await lease.begin(session.id, token, leaseMs)) return exchange(session, jwk, token);
    }
    throw new PdsAuthError("the session is being refreshed; try again");
  }

  async function exchange(before: Session, jwk: JWK, token: string): Promise<Session> {
    // Read again under the lease: it may have been refreshed between the look and the claim.
    const session = await sessions.get(before.id);
    if (!session) throw expired();
    if (session.accessToken() !== before.accessToken()) {
      await lease.release(session.id, token);
      return session;
    }
    const clientId = (await clients.get(session.clientId))?.clientIdUrl;
    let fresh: NewTokens | undefined;
    const endHold = hold(session.id, token);
    try {
      fresh = clientId === undefined ? undefined : await requestTokens(session, clientId, jwk, parts);
    } catch (error) {
      await lease.release(session.id, token);
      throw error;
    } finally {
      endHold();
    }
    if (fresh && clientId !== undefined) await keepOrRevoke(session, fresh, clientId, jwk);
    else if (await lease.remove(session)) {
      app.events.emit({
        type: "dpop_session.expired",
        severity: "warn",
        actor: session.did,
        subject: session.clientId,
      });
      throw expired();
    }
    // What is there now: the tokens that came, or those with which the app has registered anew in the meantime.
    const stored = await sessions.get(session.id);
    if (!stored) throw expired();
    return stored;
  }

  /** A slow authorization server may take longer than the lease: while this process lives, the lease is its. */
  function hold(id: string, token: string): () => void {
    const timer = setInterval(() => {
      lease
        .hold(id, token, leaseMs)
        .catch((error) => app.log.warn("a refresh could not be held", { error: explain(error) })); // the next one does
    }, leaseMs / 3).unref();
    return () => clearInterval(timer);
  }

  /** Tokens of a session that is over, or that the app has registered anew, are nobody's: their grant is ended. */
  async function keepOrRevoke(before: Session, fresh: NewTokens, clientId: string, jwk: JWK): Promise<void> {
    const spent = before.refreshToken();
    for (let session: Session | undefined = before; session;) {
      if (await storeDurably(session, fresh)) return;
      session = await sessions.get(before.id);
      if (session?.refreshToken() !== spent) break; // else: registered anew with the tokens that it had
    }
    if (before.issuer === null) return;
    const token = fresh.refreshToken ?? spent ?? fresh.accessToken;
    void grants.revoke([{ issuer: before.issuer, clientId, token, jwk }]);
  }

  /** The old refresh token is worth nothing any more: these must be stored before anything else happens. */
  async function storeDurably(session: Session, fresh: NewTokens): Promise<boolean> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await lease.store(session, fresh);
      } catch (error) {
        if (attempt >= 20) throw error;
        app.log.error("refreshed tokens cannot be stored; trying again", { error: explain(error) });
        await sleep(Math.min(50 * 2 ** attempt, 2000));
      }
    }
  }

  return (session, jwk) => {
    let work = running.get(session.id);
    if (!work) {
      work = refresh(session, jwk).finally(() => running.delete(session.id));
      running.set(session.id, work);
    }
    return work;
  };
}

/** Undefined when the grant is over. @throws PdsAuthError */
async function requestTokens(
  session: Session,
  clientId: string,
  jwk: JWK,
  { fetch, send, app }: RefreshParts,
): Promise<NewTokens | undefined> {
  const refreshToken = session.refreshToken();
  if (refreshToken === undefined) throw new PdsAuthError("token expired and no refresh_token available");
  if (session.issuer === null) throw new PdsAuthError("token expired and no issuer URL stored");
  const endpoint = await endpointOf(session.issuer, "token_endpoint", fetch);
  if (endpoint === undefined)
    throw new PdsAuthError(`the metadata of ${session.issuer} names no token endpoint`);
  const answer = await send({
    method: "POST",
    url: endpoint,
    jwk,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: refreshToken,
      client_id: clientId,
    }).toString(),
  }).catch((cause: unknown) => {
    throw new PdsAuthError("token refresh failed: the authorization server cannot be reached", { cause });
  });
  if (answer.status >= 400) {
    const error = errorOf(answer.body);
    if (error === "invalid_grant") return undefined;
    throw new PdsAuthError(`token refresh failed (${answer.status}): ${error || "no reason given"}`);
  }
  const { access_token, refresh_token, expires_in } = parseTokens(answer.body);
  return {
    accessToken: access_token,
    refreshToken: refresh_token,
    ...(expires_in === undefined
      ? {}
      : { expiresAt: new Date(app.clock.now() + expires_in * 1000).toISOString() }),
  };
}

function parseTokens(body: string): z.infer<typeof tokens> {
  try {
    return tokens.parse(JSON.parse(body));
  } catch {
    throw new PdsAuthError("token refresh failed: the authorization server's answer cannot be read");
  }
}

function expired(): PdsAuthError {
  return new PdsAuthError("session expired, please re-authenticate");
}
