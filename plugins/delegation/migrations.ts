import type { Migration } from "../../core/index.ts";

/** HappyView's tables (auth §5.4). */
export const migrations: readonly Migration[] = [
  { id: "0001_delegation", sqlite: tables("TEXT"), postgres: tables('TEXT COLLATE "C"') },
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
