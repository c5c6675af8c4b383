import type { Migration } from "../../core/index.ts";

/** HappyView's table (auth §1.1), and who made a row: the config or an admin. */
export const migrations: readonly Migration[] = [
  {
    id: "0001_api_clients",
    sqlite: tables({ int: "INTEGER", real: "REAL", text: "TEXT" }),
    postgres: tables({ int: "BIGINT", real: "DOUBLE PRECISION", text: 'TEXT COLLATE "C"' }),
  },
];

function tables({ int, real, text }: { int: string; real: string; text: string }): string {
  return `
  CREATE TABLE happyview_api_clients (
    id ${text} PRIMARY KEY,
    client_key ${text} NOT NULL UNIQUE,
    client_secret_hash TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL,
    client_id_url ${text} NOT NULL UNIQUE,
    client_uri TEXT NOT NULL,
    redirect_uris TEXT NOT NULL DEFAULT '[]',
    scopes TEXT NOT NULL DEFAULT 'atproto',
    client_type TEXT NOT NULL DEFAULT 'confidential',
    allowed_origins TEXT,
    rate_limit_capacity ${int},
    rate_limit_refill_rate ${real},
    is_active ${int} NOT NULL DEFAULT 1,
    created_by TEXT,
    created_at ${text} NOT NULL,
    updated_at ${text} NOT NULL,
    parent_client_id ${text} REFERENCES happyview_api_clients (id) ON DELETE CASCADE,
    owner_did ${text},
    origin TEXT NOT NULL DEFAULT 'admin'
  );
  CREATE INDEX happyview_api_clients_by_parent ON happyview_api_clients (parent_client_id);
  CREATE INDEX happyview_api_clients_by_owner ON happyview_api_clients (owner_did);`;
}
