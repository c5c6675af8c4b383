import type { Migration } from "./migrate.ts";
import { postgresViews, sqliteViews } from "./views.ts";

/**
 * Core's tables. They carry the prefix of HappyView's later versions; the v2.9 names are writable views, so that
 * `db.raw` scripts of both generations run (admin-api §3). On Postgres text is compared by bytes (COLLATE "C"),
 * as on SQLite, so that both sort and page alike.
 */
export const coreMigrations: readonly Migration[] = [
  {
    id: "0001_records",
    sqlite: records({ text: "TEXT", indexedAtDefault: "DEFAULT (datetime('now'))" }),
    postgres: records({ text: 'TEXT COLLATE "C"', indexedAtDefault: "" }),
  },
  {
    id: "0002_lexicons_and_settings",
    sqlite: lexiconsAndSettings("TEXT", "DEFAULT (datetime('now'))"),
    postgres: lexiconsAndSettings('TEXT COLLATE "C"', "DEFAULT (now()::text)"),
  },
  { id: "0003_views", sqlite: sqliteViews(), postgres: postgresViews() },
  {
    id: "0004_leads",
    sqlite: leads({ text: "TEXT", int: "INTEGER" }),
    postgres: leads({ text: 'TEXT COLLATE "C"', int: "BIGINT" }),
  },
  {
    id: "0005_domains_and_logo",
    sqlite: domainsAndLogo({ text: "TEXT", blob: "BLOB" }),
    postgres: domainsAndLogo({ text: 'TEXT COLLATE "C"', blob: "BYTEA" }),
  },
];

function domainsAndLogo({ text, blob }: { text: string; blob: string }): string {
  return `
  CREATE TABLE happyview_domains (
    id ${text} PRIMARY KEY,
    url ${text} NOT NULL UNIQUE,
    is_primary INTEGER NOT NULL DEFAULT 0,
    origin TEXT NOT NULL DEFAULT 'admin',
    created_at ${text} NOT NULL,
    updated_at ${text} NOT NULL
  );
  CREATE TABLE happyview_logo (id INTEGER PRIMARY KEY, content_type TEXT NOT NULL, bytes ${blob} NOT NULL);`;
}

/** Who leads what is told by locks; the table counts the leads, so that late writes of an earlier one can be refused. */
function leads({ text, int }: { text: string; int: string }): string {
  return `
  CREATE TABLE happyview_leads (name ${text} PRIMARY KEY, epoch ${int} NOT NULL);
  ALTER TABLE happyview_stream_positions ADD COLUMN epoch ${int} NOT NULL DEFAULT 0;
  ALTER TABLE happyview_stream_positions ADD COLUMN time_us ${int};
  `;
}

function records({ text, indexedAtDefault }: { text: string; indexedAtDefault: string }): string {
  const columns = (indexedAt: string): string => `
    uri ${text} PRIMARY KEY,
    did ${text} NOT NULL,
    collection ${text} NOT NULL,
    rkey ${text} NOT NULL,
    record TEXT NOT NULL,
    cid ${text} NOT NULL DEFAULT '',
    indexed_at ${text} ${indexedAt},
    created_at ${text} NOT NULL,
    rev ${text} NOT NULL DEFAULT ''`;
  // coalesce: rows written by scripts have no indexed_at; they come last, and a keyset passes over no null.
  // Ascending, though lists begin with the newest: what arrives is added at the end, where pages fill up.
  return `
  CREATE TABLE happyview_records (${columns(indexedAtDefault)});
  CREATE INDEX happyview_records_by_arrival ON happyview_records (collection, coalesce(indexed_at, ''), uri);
  CREATE INDEX happyview_records_by_creation ON happyview_records (collection, created_at, uri);
  CREATE INDEX happyview_records_by_repo ON happyview_records (did, collection, coalesce(indexed_at, ''), uri);
  CREATE INDEX happyview_records_by_repo_creation ON happyview_records (did, collection, created_at, uri);
  CREATE TABLE happyview_withheld_records (${columns("")});
  CREATE INDEX happyview_withheld_records_by_repo ON happyview_withheld_records (did);
  CREATE TABLE happyview_record_refs (
    source_uri ${text} NOT NULL REFERENCES happyview_records (uri) ON DELETE CASCADE,
    target_uri ${text} NOT NULL,
    collection ${text} NOT NULL,
    PRIMARY KEY (source_uri, target_uri)
  );
  CREATE INDEX happyview_record_refs_by_target ON happyview_record_refs (target_uri, collection);
  CREATE TABLE happyview_record_tombstones (uri ${text} PRIMARY KEY, rev ${text} NOT NULL, deleted_at ${text} NOT NULL);
  CREATE INDEX happyview_record_tombstones_by_age ON happyview_record_tombstones (deleted_at);
  CREATE TABLE happyview_accounts (
    did ${text} PRIMARY KEY,
    status ${text} NOT NULL,
    status_rev ${text} NOT NULL,
    void_before ${text} NOT NULL DEFAULT ''
  );
  CREATE TABLE happyview_labels (
    src ${text} NOT NULL,
    uri ${text} NOT NULL,
    val ${text} NOT NULL,
    cts TEXT NOT NULL,
    exp TEXT,
    PRIMARY KEY (src, uri, val)
  );
  CREATE INDEX happyview_labels_by_uri ON happyview_labels (uri);
  `;
}

function lexiconsAndSettings(text: string, now: string): string {
  return `
  CREATE TABLE happyview_lexicons (
    id ${text} PRIMARY KEY,
    revision INTEGER NOT NULL DEFAULT 1,
    lexicon_json TEXT NOT NULL,
    backfill INTEGER NOT NULL DEFAULT 1,
    target_collection TEXT,
    action TEXT,
    token_cost INTEGER,
    source TEXT NOT NULL DEFAULT 'manual',
    authority_did TEXT,
    last_fetched_at TEXT,
    created_at TEXT NOT NULL ${now},
    updated_at TEXT NOT NULL ${now},
    origin TEXT NOT NULL DEFAULT 'admin',
    config_hash TEXT
  );
  CREATE TABLE happyview_instance_settings (key ${text} PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL ${now});
  CREATE TABLE happyview_stream_positions (source ${text} PRIMARY KEY, position TEXT NOT NULL, updated_at TEXT NOT NULL);
  `;
}
