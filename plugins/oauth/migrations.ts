import type { Migration } from "../../core/index.ts";

/** What signing in needs to remember; tokens and keys are encrypted (auth §3.1, §6). */
export const migrations: readonly Migration[] = [
  {
    id: "0001_oauth",
    sqlite: tables({ text: "TEXT", int: "INTEGER" }),
    postgres: tables({ text: 'TEXT COLLATE "C"', int: "BIGINT" }),
  },
];

function tables({ text, int }: { text: string; int: string }): string {
  return `
  CREATE TABLE happyview_oauth_sessions (did ${text} PRIMARY KEY, session_data TEXT NOT NULL, updated_at TEXT NOT NULL);
  CREATE TABLE happyview_oauth_states (state_key ${text} PRIMARY KEY, state_data TEXT NOT NULL, expires_at ${int} NOT NULL);
  CREATE TABLE happyview_oauth_keys (id INTEGER PRIMARY KEY, jwk TEXT NOT NULL);
  CREATE TABLE happyview_logins (
    id_hash ${text} PRIMARY KEY,
    did ${text} NOT NULL,
    csrf_token TEXT NOT NULL,
    created_at ${text} NOT NULL,
    expires_at ${int} NOT NULL
  );
  CREATE INDEX happyview_logins_by_did ON happyview_logins (did);`;
}
