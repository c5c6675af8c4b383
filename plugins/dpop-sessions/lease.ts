import type { PluginApp } from "../../core/index.ts";
import { databaseNow } from "../../core/db/now.ts";
import type { SecretBox } from "../../core/secret-box.ts";
import { lockOf, type Session } from "./sessions.ts";

export interface NewTokens {
  accessToken: string;
  refreshToken?: string | undefined;
  expiresAt?: string | undefined;
}

/** Who may refresh a session, and what becomes of it: nothing of a grant that the app has meanwhile replaced. */
export interface RefreshLease {
  /** True when this caller may refresh now: for `forMs`, nobody else does. */
  begin(id: string, token: string, forMs: number): Promise<boolean>;
  /** Makes the lease of a refresh that is still going on last for `forMs` from now. */
  hold(id: string, token: string, forMs: number): Promise<void>;
  /** Gives the lease back. */
  release(id: string, token: string): Promise<void>;
  /** Stores what the refresh of these tokens brought; false, and nothing, when others are there or the session is gone. */
  store(session: Session, tokens: NewTokens): Promise<boolean>;
  /** Removes a session whose grant is over, with its key; false when it has other tokens by now. */
  remove(session: Session): Promise<boolean>;
}

/** The lease is measured by the database's time: two processes whose clocks differ would both refresh. */
export function createRefreshLease(
  { db, clock }: Pick<PluginApp, "db" | "clock">,
  box: SecretBox,
): RefreshLease {
  const now = databaseNow(db);
  const free = "refreshing_by = NULL, refreshing_until = NULL";
  return {
    async begin(id, token, forMs) {
      const changed = await db.run(
        `UPDATE happyview_dpop_sessions SET refreshing_by = ?, refreshing_until = ${now} + ?
         WHERE id = ? AND (refreshing_until IS NULL OR refreshing_until < ${now})`,
        [token, Math.round(forMs), id],
      );
      return changed > 0;
    },
    async hold(id, token, forMs) {
      await db.run(
        `UPDATE happyview_dpop_sessions SET refreshing_until = ${now} + ? WHERE id = ? AND refreshing_by = ?`,
        [Math.round(forMs), id, token],
      );
    },
    async release(id, token) {
      await db.run(`UPDATE happyview_dpop_sessions SET ${free} WHERE id = ? AND refreshing_by = ?`, [
        id,
        token,
      ]);
    },
    async store({ id, version }, { accessToken, refreshToken, expiresAt }) {
      const at = clock.timestamp();
      // Whoever holds the lease now: tokens that a PDS has given out for these are the only good ones there are.
      const stored = await db.run(
        `UPDATE happyview_dpop_sessions SET access_token_enc = ?, refresh_token_enc = coalesce(?, refresh_token_enc),
           token_expires_at = ?, updated_at = ?, refreshed_at = ?, version = version + 1, ${free}
         WHERE id = ? AND version = ?`,
        [
          box.sealBytes(accessToken),
          refreshToken === undefined ? null : box.sealBytes(refreshToken),
          expiresAt ?? null,
          at,
          at,
          id,
          version,
        ],
      );
      return stored > 0;
    },
    remove: ({ id, keyId, version }) =>
      db.transaction(async (tx) => {
        await tx.lock([lockOf(keyId)]);
        const removed = await tx.run(
          `DELETE FROM happyview_dpop_keys WHERE id = ?
             AND EXISTS (SELECT 1 FROM happyview_dpop_sessions WHERE id = ? AND version = ?)`,
          [keyId, id, version],
        );
        return removed > 0;
      }),
  };
}
