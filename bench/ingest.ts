import { generateEvents } from "../playground/network/generate.ts";
import type { JetstreamEvent } from "../playground/network/event.ts";
import type { Databases } from "./databases.ts";
import { startLive } from "./live.ts";
import type { Figure } from "./main.ts";
import { prepare } from "./app.ts";
import { rawWrites } from "./raw-inserts.ts";

export interface IngestOptions {
  /** The built server of bench/project. */
  entry: string;
  root: string;
  databases: Databases;
  events: number;
}

const recordScript = `
function handle()
  if action == "delete" then return true end
  record.seen = #uri
  return record
end`;

export function postEvents(events: number): JetstreamEvent[] {
  return [...generateEvents({ events, seed: 7, dids: 5000, collections: ["bench.app.post"] })];
}

/** Live ingest through the simulator's Jetstream, beside raw batched writes of the same rows into the same tables. */
export async function ingest(options: IngestOptions): Promise<Figure[]> {
  const events = postEvents(options.events);
  const raw = await rawWrites(options, events);
  const live = await rateOf(options, events, "live");
  const some = events.slice(0, Math.ceil(events.length / 5));
  const scripted = await rateOf(options, some, "scripted", recordScript);
  return [
    {
      name: "live ingest",
      value: live,
      unit: "events/s",
      beside: "raw batched inserts",
      calibration: raw,
      target: 0.5,
    },
    {
      name: "live ingest with a record script",
      value: scripted,
      unit: "events/s",
      beside: "live ingest without",
      calibration: live,
      target: 1 / 3,
    },
  ];
}

async function rateOf(
  { entry, root, databases }: IngestOptions,
  events: JetstreamEvent[],
  name: string,
  script?: string,
): Promise<number> {
  const url = await databases.create(name);
  await prepare(root, url, script);
  await using live = await startLive(entry, url, events);
  const from = await live.progress();
  const start = performance.now();
  await live.reaches(events.length);
  return Math.round((events.length - from) / ((performance.now() - start) / 1000));
}
