import type { Migration } from "../../core/index.ts";

/**
 * Subscriptions, and the labels that were negated or have expired: an older version of one must not come back. Labels
 * themselves are in core's table, where scripts read them.
 */
export const migrations: readonly Migration[] = [
  {
    id: "0001_labelers",
    sqlite: tables({ text: "TEXT", int: "INTEGER" }),
    postgres: tables({ text: 'TEXT COLLATE "C"', int: "BIGINT" }),
  },
];

function tables({ text, int }: { text: string; int: string }): string {
  // Those of an imported database have no history that is known, hence the default.
  return `
  CREATE TABLE happyview_labeler_subscriptions (
    did ${text} PRIMARY KEY,
    cursor ${int},
    status TEXT NOT NULL DEFAULT 'active',
    history TEXT NOT NULL DEFAULT 'partial',
    origin TEXT NOT NULL DEFAULT 'admin',
    config_hash TEXT,
    created_at ${text} NOT NULL,
    updated_at ${text} NOT NULL,
    removed_at ${text}
  );
  CREATE TABLE happyview_ended_labels (
    src ${text} NOT NULL,
    uri ${text} NOT NULL,
    val ${text} NOT NULL,
    cts TEXT NOT NULL,
    PRIMARY KEY (src, uri, val)
  );
  CREATE INDEX happyview_ended_labels_by_uri ON happyview_ended_labels (uri);
  ALTER TABLE happyview_labels ADD COLUMN cid TEXT;
  CREATE INDEX happyview_labels_by_expiry ON happyview_labels (substr(exp, 1, 10), src, uri, val) WHERE exp IS NOT NULL;`;
}
