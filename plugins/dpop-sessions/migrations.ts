import type { Migration } from "../../core/index.ts";

/** HappyView's tables (auth §3.1), with the lease of whoever refreshes a session. */
export const migrations: readonly Migration[] = [
  {
    id: "0001_dpop_sessions",
    sqlite: tables({ int: "INTEGER", blob: "BLOB", text: "TEXT" }),
    postgres: tables({ int: "BIGINT", blob: "BYTEA", text: 'TEXT COLLATE "C"' }),
  },
  {
    // Counts the tokens that a session has had, so that a late refresh knows that its own are no longer asked for.
    id: "0002_session_version",
    sqlite: "ALTER TABLE happyview_dpop_sessions ADD COLUMN version INTEGER NOT NULL DEFAULT 0;",
    postgres: "ALTER TABLE happyview_dpop_sessions ADD COLUMN version BIGINT NOT NULL DEFAULT 0;",
  },
];

function tables({ int, blob, text }: { int: string; blob: string; text: string }): string {
  return `
  CREATE TABLE happyview_dpop_keys (
    id ${text} PRIMARY KEY,
    provision_id ${text} NOT NULL UNIQUE,
    api_client_id ${text} NOT NULL REFERENCES happyview_api_clients (id) ON DELETE CASCADE,
    private_key_enc ${blob} NOT NULL,
    jwk_thumbprint ${text} NOT NULL,
    pkce_challenge TEXT,
    created_at ${text} NOT NULL
  );
  CREATE UNIQUE INDEX happyview_dpop_keys_by_thumbprint ON happyview_dpop_keys (api_client_id, jwk_thumbprint);
  CREATE TABLE happyview_dpop_sessions (
    id ${text} PRIMARY KEY,
    api_client_id ${text} NOT NULL REFERENCES happyview_api_clients (id) ON DELETE CASCADE,
    dpop_key_id ${text} NOT NULL REFERENCES happyview_dpop_keys (id) ON DELETE CASCADE,
    user_did ${text} NOT NULL,
    access_token_enc ${blob} NOT NULL,
    refresh_token_enc ${blob},
    token_expires_at TEXT,
    scopes TEXT NOT NULL,
    pds_url TEXT,
    issuer TEXT,
    created_at ${text} NOT NULL,
    updated_at ${text} NOT NULL,
    refreshed_at TEXT,
    refreshing_by TEXT,
    refreshing_until ${int},
    UNIQUE (api_client_id, user_did, dpop_key_id)
  );
  CREATE INDEX happyview_dpop_sessions_by_key ON happyview_dpop_sessions (dpop_key_id);
  CREATE TABLE happyview_dpop_proofs (id ${text} PRIMARY KEY, expires_at ${int} NOT NULL);
  CREATE INDEX happyview_dpop_proofs_by_time ON happyview_dpop_proofs (expires_at);`;
}
