import type { Database } from "../../../core/db/database.ts";

export const collection = "org.example.item";
export const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

/** Records as they are stored, one a second, each named by its key. */
export async function storeRecords(
  db: Database,
  records: Readonly<Record<string, unknown>>,
  into: string = collection,
): Promise<void> {
  const rows = Object.entries(records).map(([key, record], i) => {
    const time = new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString();
    const uri = `at://${did}/${into}/${key}`;
    return [uri, did, into, key, JSON.stringify(record), "", time, time, ""];
  });
  await db.insertMany(
    {
      table: "happyview_records",
      columns: {
        uri: "text",
        did: "text",
        collection: "text",
        rkey: "text",
        record: "text",
        cid: "text",
        indexed_at: "text",
        created_at: "text",
        rev: "text",
      },
    },
    rows,
  );
}
