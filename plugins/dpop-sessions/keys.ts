import { randomBytes, randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import type { PluginApp } from "../../core/index.ts";
import type { SecretBox } from "../../core/secret-box.ts";
import { thumbprintOf } from "./proof.ts";

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
