import { randomUUID } from "node:crypto";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { SecretBox } from "../../core/secret-box.ts";

export interface Session {
  id: string;
  clientId: string;
  keyId: string;
  did: string;
  scopes: string[];
  pdsUrl: string | null;
  issuer: string | null;
  expiresAt: string | null;
  createdAt: string;
  updatedAt: string;
  /** When this instance last refreshed the token; null while it is the one that was registered. */
  refreshedAt: string | null;
  /** Other tokens, another version. */
  version: number;
  accessToken(): string;
  refreshToken(): string | undefined;
}

export interface NewSession {
  clientId: string;
  keyId: string;
  did: string;
  accessToken: string;
  refreshToken?: string | undefined;
  expiresAt?: string | undefined;
  scopes: readonly string[];
  pdsUrl?: string | undefined;
  issuer?: string | undefined;
}

/** One session for each device: the key tells them apart (auth §3.1). */
export interface Sessions {
  /** Registers, or registers anew: the same key keeps its row and its id. @throws HttpError 409 when it stands for another account */
  put(session: NewSession): Promise<Session>;
  get(id: string): Promise<Session | undefined>;
  byKey(keyId: string): Promise<Session | undefined>;
  /** Of one user and client; the one used last comes first. */
  ofUser(clientId: string, did: string): Promise<Session[]>;
  /** Of a client, those used last; `limit` at the most. */
  ofClient(clientId: string, limit: number): Promise<Session[]>;
  /** Of one user, whatever the client. */
  latestOf(did: string): Promise<Session | undefined>;
  /** With their keys. */
  remove(sessions: readonly Session[]): Promise<void>;
}

interface Row {
  id: string;
  api_client_id: string;
  dpop_key_id: string;
  user_did: string;
  access_token_enc: Uint8Array;
  refresh_token_enc: Uint8Array | null;
  token_expires_at: string | null;
  scopes: string;
  pds_url: string | null;
  issuer: string | null;
  created_at: string;
  updated_at: string;
  refreshed_at: string | null;
  version: number;
}

/** What a transaction locks that decides whether a key has a session, and of whom. */
export function lockOf(keyId: string): string {
  return `dpop-key:${keyId}`;
}

export function createSessions({ db, clock }: Pick<PluginApp, "db" | "clock">, box: SecretBox): Sessions {
  const select = "SELECT * FROM happyview_dpop_sessions";
  const seal = (text: string | undefined): Uint8Array | null =>
    text === undefined ? null : box.sealBytes(text);
  const toSession = (row: Row): Session => ({
    id: row.id,
    clientId: row.api_client_id,
    keyId: row.dpop_key_id,
    did: row.user_did,
    scopes: row.scopes.split(" ").filter(Boolean),
    pdsUrl: row.pds_url,
    issuer: row.issuer,
    expiresAt: row.token_expires_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    refreshedAt: row.refreshed_at,
    version: Number(row.version),
    accessToken: () => box.openBytes(row.access_token_enc),
    refreshToken: () => (row.refresh_token_enc === null ? undefined : box.openBytes(row.refresh_token_enc)),
  });
  const all = async (where: string, params: string[], limit = ""): Promise<Session[]> =>
    (await db.all<Row>(`${select} WHERE ${where} ORDER BY updated_at DESC ${limit}`, params)).map(toSession);
  const one = async (where: string, params: string[]): Promise<Session | undefined> =>
    (await all(where, params))[0];

  return {
    put: (session) =>
      db.transaction(async (tx) => {
        await tx.lock([lockOf(session.keyId)]);
        const others = "SELECT 1 AS one FROM happyview_dpop_sessions WHERE dpop_key_id = ? AND user_did <> ?";
        if (await tx.get(others, [session.keyId, session.did]))
          throw new HttpError(
            409,
            "this provision has a session of another account: provision a key for each sign-in",
          );
        const now = clock.timestamp();
        await tx.run(
          `INSERT INTO happyview_dpop_sessions (id, api_client_id, dpop_key_id, user_did, access_token_enc,
           refresh_token_enc, token_expires_at, scopes, pds_url, issuer, created_at, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (api_client_id, user_did, dpop_key_id) DO UPDATE SET
           access_token_enc = excluded.access_token_enc, refresh_token_enc = excluded.refresh_token_enc,
           token_expires_at = excluded.token_expires_at, scopes = excluded.scopes, pds_url = excluded.pds_url,
           issuer = excluded.issuer, updated_at = excluded.updated_at, refreshed_at = NULL,
           refreshing_by = NULL, refreshing_until = NULL, version = happyview_dpop_sessions.version + 1`,
          [
            randomUUID(),
            session.clientId,
            session.keyId,
            session.did,
            seal(session.accessToken),
            seal(session.refreshToken),
            session.expiresAt ?? null,
            session.scopes.join(" "),
            session.pdsUrl ?? null,
            session.issuer ?? null,
            now,
            now,
          ],
        );
        const stored = await tx.get<Row>(`${select} WHERE dpop_key_id = ? AND user_did = ?`, [
          session.keyId,
          session.did,
        ]);
        if (!stored) throw new Error("the session that was just stored is gone");
        return toSession(stored);
      }),
    get: (id) => one("id = ?", [id]),
    byKey: (keyId) => one("dpop_key_id = ?", [keyId]),
    ofUser: (clientId, did) => all("api_client_id = ? AND user_did = ?", [clientId, did]),
    ofClient: (clientId, limit) => all("api_client_id = ?", [clientId], `LIMIT ${limit}`),
    latestOf: (did) => one("user_did = ?", [did]),
    async remove(sessions) {
      await db.deleteByKeys(
        "happyview_dpop_keys",
        "id",
        sessions.map(({ keyId }) => keyId),
      );
    },
  };
}
