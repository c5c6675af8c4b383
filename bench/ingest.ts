import Sqlite from "better-sqlite3";
import { connect } from "../core/db/database.ts";
import { createApp } from "../core/app.ts";
import { loadConfig } from "../core/config/load.ts";
import { createLogger } from "../core/log.ts";
import { readFolder } from "../core/resources/files.ts";
import type { JetstreamEvent } from "../playground/network/event.ts";
import { generateEvents } from "../playground/network/generate.ts";
import { createNetwork } from "../playground/network/network.ts";
import type { Scripts } from "../plugins/lua-scripts/scripts.ts";
import type { Figure } from "./main.ts";
import { startServer } from "./servers.ts";

export interface IngestOptions {
  /** The built server of bench/project. */
  entry: string;
  root: string;
  folder: string;
  events: number;
}

/** Live ingest through the simulator's Jetstream, beside raw batched inserts of the same rows into the same tables. */
export async function ingest(options: IngestOptions): Promise<Figure[]> {
  const events = [
    ...generateEvents({ events: options.events, seed: 7, dids: 5000, collections: ["bench.app.post"] }),
  ];
  const raw = await insertRate(options, events);
  const live = await throughJetstream(options, events, "live");
  const some = events.slice(0, Math.ceil(events.length / 5));
  const scripted = await throughJetstream(options, some, "scripted", recordScript);
  return [
    {
      name: "live ingest with a record script",
      value: scripted,
      unit: "events/s",
      beside: "live ingest without",
      calibration: live,
      target: 1 / 3,
    },
    {
      name: "live ingest",
      value: live,
      unit: "events/s",
      beside: "raw batched inserts",
      calibration: raw,
      target: 0.25,
    },
  ];
}

async function throughJetstream(
  { entry, root, folder }: IngestOptions,
  events: JetstreamEvent[],
  name: string,
  script?: string,
): Promise<number> {
  const file = await prepare(root, `${folder}/${name}.db`, script);
  await using network = await createNetwork({ seed: 7 });
  await network.jetstream.load(events.map((event) => JSON.stringify(event)));
  await setPosition(file, 1);
  const server = await startServer(
    [entry],
    { DATABASE_URL: `file:${file}`, JETSTREAM_URL: network.jetstreamUrl },
    "/health",
  );
  const reader = new Sqlite(file, { readonly: true });
  const position = reader.prepare("SELECT position FROM happyview_stream_positions").pluck();
  const index = new Map(events.map((event, i) => [String(event.time_us), i]));
  const progress = (): number => index.get(String(position.get())) ?? 0;
  try {
    const from = progress();
    const start = performance.now();
    while (progress() < events.length - 1) await new Promise((resolve) => setTimeout(resolve, 25));
    return Math.round((events.length - from) / ((performance.now() - start) / 1000));
  } finally {
    reader.close();
    await server.stop();
  }
}

/** Rows a second of so many batched inserts into the same tables. */
export function rawInserts(options: Pick<IngestOptions, "root" | "folder">, rows: number): Promise<number> {
  return insertRate(options, [
    ...generateEvents({
      events: rows,
      seed: 8,
      dids: 2000,
      collections: ["bench.app.post"],
      updates: 0,
      deletes: 0,
    }),
  ]);
}

async function insertRate(
  { root, folder }: Pick<IngestOptions, "root" | "folder">,
  events: JetstreamEvent[],
): Promise<number> {
  const file = await prepare(root, `${folder}/raw-${events.length}.db`);
  const db = new Sqlite(file);
  for (const pragma of ["synchronous = NORMAL", "cache_size = -65536", "wal_autocheckpoint = 8000"])
    db.pragma(pragma);
  const upsert = db.prepare(
    `INSERT INTO happyview_records (uri, did, collection, rkey, record, cid, rev, indexed_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (uri) DO UPDATE SET record = excluded.record, cid = excluded.cid, rev = excluded.rev, indexed_at = excluded.indexed_at`,
  );
  const remove = db.prepare("DELETE FROM happyview_records WHERE uri = ?");
  const rows = events.map(toRow);
  const start = performance.now();
  for (let at = 0; at < rows.length; at += 500)
    db.transaction(() => {
      for (const { uri, values } of rows.slice(at, at + 500)) {
        if (values) upsert.run(...values);
        else remove.run(uri);
      }
    })();
  const perSecond = Math.round(rows.length / ((performance.now() - start) / 1000));
  db.close();
  return perSecond;
}

function toRow(event: JetstreamEvent, i: number): { uri: string; values: string[] | undefined } {
  if (event.kind !== "commit") return { uri: "", values: undefined };
  const { collection, rkey, rev } = event.commit;
  const uri = `at://${event.did}/${collection}/${rkey}`;
  if (event.commit.operation === "delete") return { uri, values: undefined };
  const stamp = `2026-01-01T00:00:00.${String(i).padStart(9, "0")}+00:00`;
  return {
    uri,
    values: [
      uri,
      event.did,
      collection,
      rkey,
      JSON.stringify(event.commit.record),
      event.commit.cid ?? "",
      rev,
      stamp,
      stamp,
    ],
  };
}

const recordScript = `
function handle()
  if action == "delete" then return true end
  record.seen = #uri
  return record
end`;

/** An empty database with the tables and lexicons of the project, and a record script if one is given. */
export async function prepare(root: string, file: string, script?: string): Promise<string> {
  const { config } = await loadConfig({ root, mode: "production", env: { DATABASE_URL: `file:${file}` } });
  const files = { lexicons: await readFolder(root, "lexicons") };
  const app = await createApp({ config, files, background: false, log: createLogger({ level: "error" }) });
  if (script !== undefined) {
    const { scripts } = app.api("lua-scripts") as { scripts: Scripts }; // the project has the plugin
    await scripts.put("record.index:bench.app.post", { body: script }, { origin: "admin" });
  }
  await app.close();
  return file;
}

async function setPosition(file: string, micros: number): Promise<void> {
  const db = await connect({ url: `file:${file}` });
  await db.run("INSERT INTO happyview_stream_positions (source, position, updated_at) VALUES (?, ?, '')", [
    "jetstream",
    String(micros),
  ]);
  await db.close();
}
