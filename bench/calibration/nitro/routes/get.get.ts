import { defineEventHandler, getQuery } from "h3";
import { DatabaseSync } from "node:sqlite";

const db = new DatabaseSync(process.env["BENCH_DB"] ?? "", { readOnly: true });
const get = db.prepare("SELECT uri, record FROM happyview_records WHERE uri = ?");

export default defineEventHandler((event) => {
  const row = get.get(String(getQuery(event)["uri"]));
  return { record: { ...JSON.parse(String(row?.["record"])), uri: row?.["uri"] } };
});
