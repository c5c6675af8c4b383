import type { Clock } from "../clock.ts";
import type { Database } from "../db/database.ts";
import { explain } from "../errors.ts";
import type { Logger } from "../log.ts";

/** No source replays further back: relays and Jetstreams hold 36 to 72 hours. */
const keepMs = 7 * 24 * 60 * 60 * 1000;
const everyMs = 60 * 60 * 1000;

/** Forgets tombstones that no late event can need any more, hourly. Returns what stops it. */
export function sweepTombstones(db: Database, clock: Clock, log: Logger): () => void {
  const sweep = async (): Promise<void> => {
    const before = new Date(clock.now() - keepMs).toISOString();
    await db.run("DELETE FROM happyview_record_tombstones WHERE deleted_at < ?", [before]);
  };
  const timer = setInterval(() => {
    sweep().catch((error) => log.error("tombstones could not be swept", { error: explain(error) }));
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
