import { defineSchema, type Migration } from "../../core/index.ts";

export const scriptsSchema = defineSchema((t) => ({
  scripts: t.table("happyview_scripts", {
    id: t.text().primaryKey(),
    body: t.text().notNull(),
    description: t.text(),
    script_type: t.text().notNull(),
    outbound_xrpcs: t.json<string[]>(),
    created_at: t.text().notNull(),
    updated_at: t.text().notNull(),
    origin: t.text().notNull(),
    config_hash: t.text(),
  }),
  variables: t.table("happyview_script_variables", {
    key: t.text().primaryKey(),
    value: t.text().notNull(),
    created_at: t.text().notNull(),
    updated_at: t.text().notNull(),
  }),
}));

const tables = `
  CREATE TABLE happyview_scripts (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    description TEXT,
    script_type TEXT NOT NULL DEFAULT 'lua',
    outbound_xrpcs TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    origin TEXT NOT NULL DEFAULT 'admin',
    config_hash TEXT
  );
  CREATE TABLE happyview_script_variables (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
  );`;

/** One row: the key with which scripts sign records. */
const attestationKey =
  "CREATE TABLE happyview_attestation_keys (id INTEGER PRIMARY KEY, sealed TEXT NOT NULL);";

export const migrations: readonly Migration[] = [
  { id: "0001_scripts", sqlite: tables, postgres: tables },
  { id: "0002_attestation", sqlite: attestationKey, postgres: attestationKey },
];
