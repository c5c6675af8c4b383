import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** Deletes the details of jobs that ended long ago, once a day; returns the way to stop. */
export function keepRetention(
  { db, clock, log }: Pick<PluginApp, "db" | "clock" | "log">,
  days: () => number,
): () => void {
  async function sweep(): Promise<void> {
    if (days() === 0) return;
    const before = new Date(clock.now() - days() * dayMs).toISOString();
    await db.run(
      `DELETE FROM happyview_backfill_repos WHERE job_id IN (
         SELECT id FROM happyview_backfill_jobs WHERE completed_at < ? AND status IN ('completed', 'cancelled', 'failed'))`,
      [before],
    );
  }
  const run = (): void =>
    void sweep().catch((error) =>
      log.error("old backfill details could not be deleted", { error: explain(error) }),
    );
  const timer = setInterval(run, dayMs);
  timer.unref();
  run();
  return () => clearInterval(timer);
}
