import type { Clock } from "../clock.ts";
import type { BulkInsert, Queries } from "../db/database.ts";
import type { StreamPosition } from "./change.ts";

const intoPositions: BulkInsert = {
  table: "happyview_stream_positions",
  columns: { source: "text", position: "text", time_us: "int", epoch: "int", updated_at: "text" },
  onConflict: `(source) DO UPDATE SET position = excluded.position, time_us = excluded.time_us, epoch = excluded.epoch,
    updated_at = excluded.updated_at WHERE happyview_stream_positions.epoch <= excluded.epoch`,
};

/** How far each source has been read; what an earlier leader writes late changes nothing. */
export async function storePositions(
  db: Pick<Queries, "insertMany">,
  positions: readonly StreamPosition[],
  clock: Clock,
): Promise<void> {
  const now = clock.timestamp();
  await db.insertMany(
    intoPositions,
    positions.map(({ source, position, timeUs, epoch }) => [
      source,
      position,
      timeUs ?? null,
      epoch ?? 0,
      now,
    ]),
  );
}

/** Undefined for a source that was never read. */
export async function storedPosition(db: Queries, source: string): Promise<string | undefined> {
  const sql = "SELECT position FROM happyview_stream_positions WHERE source = ?";
  return (await db.get<{ position: string }>(sql, [source]))?.position;
}
