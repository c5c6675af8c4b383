import { defineSchema } from "./schema.ts";

/** The core tables that are read and written by typed queries; records have statements of their own. */
export const coreSchema = defineSchema((t) => ({
  lexicons: t.table("happyview_lexicons", {
    id: t.text().primaryKey(),
    revision: t.int().notNull(),
    lexicon_json: t.text().notNull(),
    backfill: t.bool().notNull(),
    target_collection: t.text(),
    action: t.text(),
    token_cost: t.int(),
    source: t.text().notNull(),
    authority_did: t.text(),
    last_fetched_at: t.text(),
    created_at: t.text().notNull(),
    updated_at: t.text().notNull(),
    origin: t.text().notNull(),
    config_hash: t.text(),
  }),
  settings: t.table("happyview_instance_settings", {
    key: t.text().primaryKey(),
    value: t.text().notNull(),
    updated_at: t.text().notNull(),
  }),
}));
