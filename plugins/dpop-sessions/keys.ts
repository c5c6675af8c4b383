import { randomBytes, randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import type { PluginApp } from "../../core/index.ts";
import type { SecretBox } from "../../core/secret-box.ts";
import { thumbprintOf } from "./proof.ts";
import { lockOf } from "./sessions.ts";

export interface DpopKey {
  id: string;
  provisionId: string;
  clientId: string;
  thumbprint: string;
  pkceChallenge: string | null;
  sealed: Uint8Array;
}

/** Key pairs that apps are given: the app proves itself to us with them, and we to the user's PDS. */
export interface DpopKeys {
  provision(clientId: string, pkceChallenge: string | null): Promise<{ key: DpopKey; jwk: JWK }>;
  byProvision(provisionId: string): Promise<DpopKey | undefined>;
  byThumbprint(clientId: string, thumbprint: string): Promise<DpopKey | undefined>;
  get(id: string): Promise<DpopKey | undefined>;
  /** By id; those that are gone are left out. */
  many(ids: readonly string[]): Promise<Map<string, DpopKey>>;
  /** Removes keys that nobody has registered a session with for two hours; how many. */
  sweep(): Promise<number>;
  /** The private key. */
  open(key: DpopKey): JWK;
}

interface Row {
  id: string;
  provision_id: string;
  api_client_id: string;
  jwk_thumbprint: string;
  pkce_challenge: string | null;
  private_key_enc: Uint8Array;
}

/** Longer than any sign-in takes: anybody who knows a public client's key may have keys made. */
const unusedKeptMs = 2 * 60 * 60 * 1000;
const sweepBatch = 200;

export function createDpopKeys({ db, clock }: Pick<PluginApp, "db" | "clock">, box: SecretBox): DpopKeys {
  const one = async (where: string, params: string[]): Promise<DpopKey | undefined> => {
    const row = await db.get<Row>(`SELECT * FROM happyview_dpop_keys WHERE ${where}`, params);
    return row && toKey(row);
  };
  return {
    async provision(clientId, pkceChallenge) {
      const { privateKey } = await generateKeyPair("ES256", { extractable: true });
      const { kty, crv, x, y, d } = await exportJWK(privateKey);
      const jwk: JWK = { kty, crv, x, y, d };
      const key: DpopKey = {
        id: randomUUID(),
        provisionId: `hvp_${randomBytes(16).toString("hex")}`,
        clientId,
        thumbprint: await thumbprintOf(jwk),
        pkceChallenge,
        sealed: box.sealBytes(JSON.stringify(jwk)),
      };
      await db.run(
        `INSERT INTO happyview_dpop_keys (id, provision_id, api_client_id, private_key_enc, jwk_thumbprint, pkce_challenge, created_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
        [key.id, key.provisionId, clientId, key.sealed, key.thumbprint, pkceChallenge, clock.timestamp()],
      );
      return { key, jwk };
    },
    byProvision: (id) => one("provision_id = ?", [id]),
    byThumbprint: (clientId, thumbprint) =>
      one("api_client_id = ? AND jwk_thumbprint = ?", [clientId, thumbprint]),
    get: (id) => one("id = ?", [id]),
    async many(ids) {
      const rows = await db.selectByKeys<Row>("SELECT * FROM happyview_dpop_keys", "id", ids);
      return new Map(rows.map((row) => [row.id, toKey(row)]));
    },
    async sweep() {
      const before = new Date(clock.now() - unusedKeptMs).toISOString();
      const isUnused =
        "NOT EXISTS (SELECT 1 FROM happyview_dpop_sessions s WHERE s.dpop_key_id = happyview_dpop_keys.id)";
      for (let swept = 0; ;) {
        const found = await db.all<{ id: string }>(
          `SELECT id FROM happyview_dpop_keys WHERE created_at < ? AND ${isUnused} LIMIT ${sweepBatch}`,
          [before],
        );
        const ids = found.map(({ id }) => id);
        if (ids.length === 0) return swept;
        swept += await db.transaction(async (tx) => {
          await tx.lock(ids.map(lockOf));
          const places = ids.map(() => "?").join(", ");
          // Asked again under the lock: a session may have been registered since.
          return tx.run(`DELETE FROM happyview_dpop_keys WHERE id IN (${places}) AND ${isUnused}`, ids);
        });
      }
    },
    open: ({ sealed }) => JSON.parse(box.openBytes(sealed)) as JWK, // sealed by provision() alone
  };
}

function toKey(row: Row): DpopKey {
  return {
    id: row.id,
    provisionId: row.provision_id,
    clientId: row.api_client_id,
    thumbprint: row.jwk_thumbprint,
    pkceChallenge: row.pkce_challenge,
    sealed: row.private_key_enc,
  };
}
