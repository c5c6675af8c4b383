import Sqlite from "better-sqlite3";
import postgres from "postgres";
import type { JetstreamEvent } from "../playground/network/event.ts";
import { generateEvents } from "../playground/network/generate.ts";
import type { Databases } from "./databases.ts";
import { prepare } from "./app.ts";

const batchSize = 500;
const columns = [
  "uri",
  "did",
  "collection",
  "rkey",
  "record",
  "cid",
  "rev",
  "indexed_at",
  "created_at",
] as const;
const onConflict =
  "ON CONFLICT (uri) DO UPDATE SET record = excluded.record, cid = excluded.cid, rev = excluded.rev, indexed_at = excluded.indexed_at";

interface RawOptions {
  databases: Databases;
  root: string;
}

/** Rows a second of so many batched inserts into the tables of the project, by the driver alone. */
export function rawInserts(options: RawOptions, rows: number): Promise<number> {
  const kind = { seed: 8, dids: 2000, collections: ["bench.app.post"], updates: 0, deletes: 0 };
  return rawWrites(options, [...generateEvents({ events: rows, ...kind })]);
}

/** The same for the operations of a stream, in transactions of 500. */
export async function rawWrites(
  { databases, root }: RawOptions,
  events: readonly JetstreamEvent[],
): Promise<number> {
  const url = await databases.create(`raw_${events.length}`);
  await prepare(root, url);
  const rows = events.map(toRow);
  const batches: Row[][] = [];
  for (let at = 0; at < rows.length; at += batchSize) batches.push(rows.slice(at, at + batchSize));
  const seconds = await (databases.dialect === "sqlite" ? writeSqlite : writePostgres)(url, batches);
  return Math.round(rows.length / seconds);
}

interface Row {
  uri: string;
  /** Undefined deletes. */
  values: string[] | undefined;
}

async function writeSqlite(url: string, batches: readonly Row[][]): Promise<number> {
  const db = new Sqlite(url.slice("file:".length));
  for (const pragma of ["synchronous = NORMAL", "cache_size = -65536", "wal_autocheckpoint = 32000"])
    db.pragma(pragma);
  const marks = columns.map(() => "?").join(", ");
  const upsert = db.prepare(
    `INSERT INTO happyview_records (${columns.join(", ")}) VALUES (${marks}) ${onConflict}`,
  );
  const remove = db.prepare("DELETE FROM happyview_records WHERE uri = ?");
  const start = performance.now();
  for (const batch of batches)
    db.transaction(() => {
      for (const { uri, values } of batch) {
        if (values) upsert.run(...values);
        else remove.run(uri);
      }
    })();
  const seconds = (performance.now() - start) / 1000;
  db.close();
  return seconds;
}

async function writePostgres(url: string, batches: readonly Row[][]): Promise<number> {
  const sql = postgres(url, { max: 1 });
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`).join(", ");
  const insert = `INSERT INTO happyview_records (${columns.join(", ")}) SELECT * FROM unnest(${arrays}) ${onConflict}`;
  const start = performance.now();
  for (const batch of batches) {
    const last = new Map(batch.map((row) => [row.uri, row])); // one statement writes a row once
    const kept = [...last.values()].flatMap(({ values }) => (values ? [values] : []));
    const removed = [...last.values()].filter(({ values }) => !values).map(({ uri }) => uri);
    await sql.begin(async (tx) => {
      const lists = columns.map((_, i) => kept.map((values) => values[i] ?? ""));
      if (kept.length > 0) await tx.unsafe(insert, lists);
      if (removed.length > 0)
        await tx.unsafe("DELETE FROM happyview_records WHERE uri = ANY($1::text[])", [removed]);
    });
  }
  const seconds = (performance.now() - start) / 1000;
  await sql.end();
  return seconds;
}

function toRow(event: JetstreamEvent, i: number): Row {
  if (event.kind !== "commit") return { uri: "", values: undefined };
  const { collection, rkey, rev } = event.commit;
  const uri = `at://${event.did}/${collection}/${rkey}`;
  if (event.commit.operation === "delete") return { uri, values: undefined };
  const stamp = `2026-01-01T00:00:00.${String(i).padStart(9, "0")}+00:00`;
  const record = JSON.stringify(event.commit.record);
  return {
    uri,
    values: [uri, event.did, collection, rkey, record, event.commit.cid ?? "", rev, stamp, stamp],
  };
}
