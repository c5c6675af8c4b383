import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";

const hourMs = 60 * 60 * 1000;

/** Forgets entries older than `days`, hourly; 0 keeps all. Returns what stops it. */
export function sweepEvents(
  { db, clock, log }: Pick<PluginApp, "db" | "clock" | "log">,
  days: number,
): () => void {
  if (!(days > 0)) return () => {};
  const sweep = async (): Promise<void> => {
    const before = new Date(clock.now() - days * 24 * hourMs).toISOString();
    await db.run("DELETE FROM happyview_event_logs WHERE created_at < ?", [before]);
  };
  const timer = setInterval(() => {
    sweep().catch((error) => log.error("old entries could not be removed", { error: explain(error) }));
  }, hourMs);
  timer.unref();
  return () => clearInterval(timer);
}
