import type { Database } from "../../core/db/database.ts";

/** Where to begin reading a source. */
export interface Start {
  /** Undefined for the live tip. */
  cursor: string | undefined;
  /** Unix microseconds up to which the index has everything; undefined before anything was read. */
  coveredUs: number | undefined;
}

/** What of a source decides where it begins. */
export interface Placed {
  /** `<kind>:<host>`, under which its position is stored. */
  position: string;
  /** The cursor of a time in Unix microseconds; left out where cursors have nothing to do with time. */
  cursorAt?: (timeUs: number) => string;
}

export interface Places {
  /** Every lead has a greater epoch: positions that an earlier leader saves from now on are ignored. */
  startOf(source: Placed, epoch: number): Promise<Start>;
}

export interface PlacesParts {
  db: Database;
  /** Kinds of sources; a stored position of any of them tells how far the index is. */
  kinds: readonly string[];
  /** How much of the stream is read twice where a position is translated by time. */
  overlapMs: number;
  /** Unix milliseconds. */
  now: () => number;
}

interface Row {
  source: string;
  position: string;
  time_us: number | null;
}

/** The position of the only Jetstream that there could be, up to version 0.1. */
const nameless = "jetstream";

/**
 * A source goes on where it was. One that was not the last to be read begins where the last one was, translated by time
 * with an overlap, since clocks differ; duplicates are harmless. A relay's seqs have no time: it begins at its own
 * last position where one is known, and else at the tip.
 */
export function createPlaces({ db, kinds, overlapMs, now }: PlacesParts): Places {
  const isOurs = kinds.map((kind) => `source LIKE '${kind}:%'`).join(" OR ");
  let firstUs: number | undefined;

  async function rowsOf(position: string, epoch: number): Promise<Row[]> {
    if (position.startsWith(`${nameless}:`)) await adopt(position);
    await db.run(`UPDATE happyview_stream_positions SET epoch = ? WHERE epoch < ? AND (${isOurs})`, [
      epoch,
      epoch,
    ]);
    return db.all<Row>(`SELECT source, position, time_us FROM happyview_stream_positions WHERE ${isOurs}`);
  }

  async function adopt(position: string): Promise<void> {
    await db.run(
      `UPDATE happyview_stream_positions SET source = ?, time_us = CAST(position AS BIGINT) WHERE source = '${nameless}'
         AND NOT EXISTS (SELECT 1 FROM happyview_stream_positions AS other WHERE other.source = ?)`,
      [position, position],
    );
  }

  /** Nothing was ever read: the tip, and from the next time on what has come since this moment. */
  async function begin({ position, cursorAt }: Placed, epoch: number): Promise<Start> {
    firstUs = Math.floor(now() * 1000);
    if (cursorAt)
      await db.run(
        "INSERT INTO happyview_stream_positions (source, position, time_us, epoch, updated_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [position, cursorAt(firstUs), firstUs, epoch, new Date(now()).toISOString()],
      );
    return { cursor: undefined, coveredUs: undefined };
  }

  return {
    async startOf(source, epoch) {
      const rows = await rowsOf(source.position, epoch);
      const own = rows.find((row) => row.source === source.position);
      const times = rows.flatMap((row) => (row.time_us === null ? [] : [row.time_us]));
      const coveredUs = times.length > 0 ? Math.max(...times) : firstUs;
      if (!own && coveredUs === undefined) return begin(source, epoch);
      if (!source.cursorAt || coveredUs === undefined) return { cursor: own?.position, coveredUs };
      const fromUs = coveredUs - overlapMs * 1000;
      const isNear = own && (own.time_us === null || own.time_us >= fromUs);
      return { cursor: isNear ? own.position : source.cursorAt(Math.max(0, fromUs)), coveredUs };
    },
  };
}
