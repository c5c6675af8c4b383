import type { Database } from "../db/database.ts";
import { HttpError } from "../errors.ts";
import { requiredQuery, type AdminRoutes } from "../http/admin.ts";
import type { LexiconRegistry } from "../lexicons/registry.ts";
import { decodeCursor, decodeLimit, encodeCursor } from "../xrpc/cursor.ts";
import type { RecordRow, RecordStore } from "./store.ts";

interface Label {
  src: string;
  val: string;
  cts: string;
}

/** `/admin/records` and `/admin/stats` (admin-api §2.3–2.4). */
export function recordsAdmin(
  admin: AdminRoutes,
  db: Database,
  store: RecordStore,
  lexicons: LexiconRegistry,
): void {
  admin.route("GET /records", { permission: "records:read" }, async ({ query }) => {
    const page = await store.list({
      collection: requiredQuery(query, "collection"),
      limit: decodeLimit(query.get("limit") ?? undefined),
      start: decodeCursor(query.get("cursor") ?? undefined),
    });
    const labels = await labelsOf(db, page.rows);
    return {
      records: page.rows.map((row) => withLabels(row, labels.get(row.uri) ?? [])),
      ...(page.next ? { cursor: encodeCursor(page.next) } : {}),
    };
  });
  admin.route("GET /records/collections", { permission: "records:read" }, () => ({
    collections: lexicons.collections(),
  }));
  admin.route("DELETE /records", { permission: "records:delete" }, async ({ query }) => {
    if (!(await store.remove(requiredQuery(query, "uri")))) throw new HttpError(404, "record not found");
  });
  admin.route(
    "DELETE /records/collection",
    { permission: ["records:delete-collection", "records:delete"] },
    async ({ query }) => ({ deleted: await store.removeCollection(requiredQuery(query, "collection")) }),
  );
  admin.route("GET /stats", { permission: "stats:read" }, async () => {
    const counts = await store.countByCollection();
    return {
      total_records: [...counts.values()].reduce((sum, n) => sum + n, 0),
      collections: lexicons
        .collections()
        .map((collection) => ({ collection, count: counts.get(collection) ?? 0 })),
    };
  });
}

function withLabels(row: RecordRow, external: Label[]): Record<string, unknown> {
  const record = JSON.parse(row.record) as { labels?: { values?: unknown } };
  const values = record.labels?.values;
  const own = (Array.isArray(values) ? values : []).flatMap((value: { val?: unknown } | null) =>
    typeof value?.val === "string" ? [{ src: row.did, val: value.val, cts: "" }] : [],
  );
  return { ...row, record, labels: [...external, ...own] };
}

async function labelsOf(db: Database, rows: readonly RecordRow[]): Promise<Map<string, Label[]>> {
  const found = await db.selectByKeys<Label & { uri: string; exp: string | null }>(
    "SELECT src, uri, val, cts, exp FROM happyview_labels",
    "uri",
    rows.map((row) => row.uri),
  );
  const now = Date.now();
  const byUri = new Map<string, Label[]>();
  for (const { uri, exp, src, val, cts } of found)
    if (exp === null || !(Date.parse(exp) <= now))
      byUri.set(uri, [...(byUri.get(uri) ?? []), { src, val, cts }]);
  return byUri;
}
