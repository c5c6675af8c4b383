import type { Migration } from "../../core/index.ts";

/** HappyView's tables (auth §5.4). */
export const migrations: readonly Migration[] = [
  { id: "0001_delegation", sqlite: tables("TEXT"), postgres: tables('TEXT COLLATE "C"') },
  {
    id: "0002_consents",
    sqlite: consents({ text: "TEXT", int: "INTEGER" }),
    postgres: consents({ text: 'TEXT COLLATE "C"', int: "BIGINT" }),
  },
];

function tables(text: string): string {
  return `
  CREATE TABLE happyview_delegated_accounts (
    account_did ${text} PRIMARY KEY,
    linked_by ${text} NOT NULL,
    api_client_id ${text} NOT NULL REFERENCES happyview_api_clients (id) ON DELETE CASCADE,
    created_at ${text} NOT NULL
  );
  CREATE TABLE happyview_account_delegates (
    account_did ${text} NOT NULL REFERENCES happyview_delegated_accounts (account_did) ON DELETE CASCADE,
    user_did ${text} NOT NULL,
    role TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    created_at ${text} NOT NULL,
    PRIMARY KEY (account_did, user_did)
  );
  CREATE INDEX happyview_account_delegates_by_user ON happyview_account_delegates (user_did);`;
}

/** Whom an account lets link it, for a while: one at a time. */
function consents({ text, int }: { text: string; int: string }): string {
  return `
  CREATE TABLE happyview_delegation_consents (
    account_did ${text} PRIMARY KEY,
    user_did ${text} NOT NULL,
    api_client_id ${text} NOT NULL REFERENCES happyview_api_clients (id) ON DELETE CASCADE,
    expires_at ${int} NOT NULL
  );`;
}
