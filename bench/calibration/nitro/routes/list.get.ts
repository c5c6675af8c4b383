import { defineEventHandler } from "h3";
import { DatabaseSync } from "node:sqlite";

// What a person would write by hand for this one list: a prepared statement, rows parsed and returned.
const db = new DatabaseSync(process.env["BENCH_DB"] ?? "", { readOnly: true });
const list = db.prepare(
  "SELECT uri, record FROM happyview_records WHERE collection = ? ORDER BY coalesce(indexed_at, '') DESC, uri DESC LIMIT 20",
);

export default defineEventHandler(() => ({
  records: list
    .all("bench.app.post")
    .map((row) => ({ ...JSON.parse(String(row["record"])), uri: row["uri"] })),
}));
