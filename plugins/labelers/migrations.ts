import type { Migration } from "../../core/index.ts";

/** HappyView's table, and what was negated when: a label that is older than its negation must not come back. */
export const migrations: readonly Migration[] = [
  {
    id: "0001_labelers",
    sqlite: tables({ text: "TEXT", int: "INTEGER" }),
    postgres: tables({ text: 'TEXT COLLATE "C"', int: "BIGINT" }),
  },
];

function tables({ text, int }: { text: string; int: string }): string {
  return `
  CREATE TABLE happyview_labeler_subscriptions (
    did ${text} PRIMARY KEY,
    cursor ${int},
    status TEXT NOT NULL DEFAULT 'active',
    origin TEXT NOT NULL DEFAULT 'admin',
    created_at ${text} NOT NULL,
    updated_at ${text} NOT NULL
  );
  CREATE TABLE happyview_label_negations (
    src ${text} NOT NULL,
    uri ${text} NOT NULL,
    val ${text} NOT NULL,
    cts TEXT NOT NULL,
    PRIMARY KEY (src, uri, val)
  );
  CREATE INDEX happyview_labels_by_expiry ON happyview_labels (exp) WHERE exp IS NOT NULL;`;
}
