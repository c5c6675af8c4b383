/**
 * The tables of v2.9 by name, with the columns it had: writable views of ours. Part of a published migration, so what is
 * here never changes.
 */
export const legacyViews = {
  records: ["uri", "did", "collection", "rkey", "record", "cid", "indexed_at", "created_at"],
  record_refs: ["source_uri", "target_uri", "collection"],
  labels: ["src", "uri", "val", "cts", "exp"],
  lexicons: [
    "id",
    "revision",
    "lexicon_json",
    "backfill",
    "created_at",
    "updated_at",
    "target_collection",
    "action",
    "source",
    "authority_did",
    "last_fetched_at",
    "token_cost",
  ],
} as const;

const keys: Record<keyof typeof legacyViews, readonly string[]> = {
  records: ["uri"],
  record_refs: ["source_uri", "target_uri"],
  labels: ["src", "uri", "val"],
  lexicons: ["id"],
};

/** A plain view of one table is writable on Postgres as it is, ON CONFLICT included. */
export function postgresViews(): string {
  return Object.entries(legacyViews)
    .map(([name, columns]) => `CREATE VIEW ${name} AS SELECT ${columns.join(", ")} FROM happyview_${name};`)
    .join("\n");
}

/** SQLite needs a trigger for each kind of write. Columns that an INSERT leaves out arrive as null: defaults are filled in here. */
export function sqliteViews(): string {
  const defaults: Record<string, string> = {
    cid: "''",
    indexed_at: "datetime('now')",
    created_at: "datetime('now')",
    updated_at: "datetime('now')",
    revision: "1",
    backfill: "1",
    source: "'manual'",
  };
  return Object.entries(legacyViews)
    .map(([name, columns]) => {
      const table = `happyview_${name}`;
      const key = keys[name as keyof typeof legacyViews].map((k) => `${k} = OLD.${k}`).join(" AND ");
      const values = columns.map((c) => (defaults[c] ? `coalesce(NEW.${c}, ${defaults[c]})` : `NEW.${c}`));
      return [
        `CREATE VIEW ${name} AS SELECT ${columns.join(", ")} FROM ${table};`,
        `CREATE TRIGGER ${name}_insert INSTEAD OF INSERT ON ${name} BEGIN INSERT INTO ${table} (${columns.join(", ")}) VALUES (${values.join(", ")}); END;`,
        `CREATE TRIGGER ${name}_update INSTEAD OF UPDATE ON ${name} BEGIN UPDATE ${table} SET ${columns.map((c) => `${c} = NEW.${c}`).join(", ")} WHERE ${key}; END;`,
        `CREATE TRIGGER ${name}_delete INSTEAD OF DELETE ON ${name} BEGIN DELETE FROM ${table} WHERE ${key}; END;`,
      ].join("\n");
    })
    .join("\n");
}
