import type { Migration } from "../../core/index.ts";

/** Two accounts that come first at the same moment: one of them is (admin-api §1.4). */
const oneSuper = `
  UPDATE happyview_users SET is_super = 0 WHERE is_super = 1
    AND id <> (SELECT id FROM happyview_users WHERE is_super = 1 ORDER BY created_at LIMIT 1);
  CREATE UNIQUE INDEX happyview_users_one_super ON happyview_users (is_super) WHERE is_super = 1;`;

/** HappyView's tables (admin-api §3). A key without a user belongs to the instance's own key. */
export const migrations: readonly Migration[] = [
  {
    id: "0001_users",
    sqlite: tables({ int: "INTEGER", text: "TEXT" }),
    postgres: tables({ int: "BIGINT", text: 'TEXT COLLATE "C"' }),
  },
  { id: "0002_one_super", sqlite: oneSuper, postgres: oneSuper },
];

function tables({ int, text }: { int: string; text: string }): string {
  return `
  CREATE TABLE happyview_users (
    id ${text} PRIMARY KEY,
    did ${text} NOT NULL UNIQUE,
    is_super ${int} NOT NULL DEFAULT 0,
    created_at ${text} NOT NULL,
    last_used_at TEXT
  );
  CREATE TABLE happyview_user_permissions (
    user_id ${text} NOT NULL REFERENCES happyview_users (id) ON DELETE CASCADE,
    permission ${text} NOT NULL,
    granted_at TEXT NOT NULL,
    granted_by TEXT,
    PRIMARY KEY (user_id, permission)
  );
  CREATE TABLE happyview_api_keys (
    id ${text} PRIMARY KEY,
    user_id ${text} REFERENCES happyview_users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    key_hash ${text} NOT NULL UNIQUE,
    key_prefix TEXT NOT NULL,
    permissions TEXT NOT NULL DEFAULT '[]',
    created_at ${text} NOT NULL,
    last_used_at TEXT,
    expires_at TEXT,
    revoked_at TEXT
  );
  CREATE INDEX happyview_api_keys_by_user ON happyview_api_keys (user_id);`;
}
