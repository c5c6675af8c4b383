import type { JWK } from "jose";
import type { Database } from "../../core/db/database.ts";
import { createSecretBox } from "../../core/secret-box.ts";
import type { Atmosphere } from "./_atmosphere.ts";
import { encryptionKey } from "./_instance.ts";
import { askServer } from "./_server-app.ts";

/** A session as it is stored, opened. */
export interface StoredGrant {
  did: string;
  clientId: string;
  refreshToken: string;
  jwk: JWK;
}

/** Of every session; those that began first come first. */
export async function storedGrants(db: Database): Promise<StoredGrant[]> {
  const box = createSecretBox(encryptionKey);
  const rows = await db.all<{ did: string; client_id: string; token: Uint8Array; key: Uint8Array }>(
    `SELECT s.user_did AS did, c.client_id_url AS client_id, s.refresh_token_enc AS token, k.private_key_enc AS "key"
     FROM happyview_dpop_sessions s
     JOIN happyview_dpop_keys k ON k.id = s.dpop_key_id
     JOIN happyview_api_clients c ON c.id = s.api_client_id
     ORDER BY s.created_at`,
  );
  return rows.map(({ did, client_id, token, key }) => ({
    did,
    clientId: client_id,
    refreshToken: box.openBytes(token),
    jwk: JSON.parse(box.openBytes(key)) as JWK,
  }));
}

/** Uses the refresh token at the PDS, as a thief would who has everything: "alive", or what the PDS says. */
export async function tryRefresh(
  { clientId, refreshToken, jwk }: StoredGrant,
  { pds }: Pick<Atmosphere, "pds">,
): Promise<string> {
  const form = { grant_type: "refresh_token", refresh_token: refreshToken, client_id: clientId };
  const { status, body } = await askServer(`${pds.url}/oauth/token`, jwk, form);
  return status === 200 ? "alive" : String(body["error"]);
}

/** Whether the PDS still has the grant; unlike trying its token, asking that changes nothing. */
export async function isKnown(
  { refreshToken }: StoredGrant,
  { pds }: Pick<Atmosphere, "pds">,
): Promise<boolean> {
  return (await pds.ctx.oauthProvider?.tokenManager.findToken(refreshToken)) != null;
}
