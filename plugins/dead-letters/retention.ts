import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { Letters } from "./letters.ts";

const hourMs = 60 * 60 * 1000;

/** Forgets letters that were resolved more than `days` ago, hourly; 0 keeps all. Returns what stops it. */
export function sweepLetters(
  letters: Letters,
  { clock, log }: Pick<PluginApp, "clock" | "log">,
  days: number,
): () => void {
  if (!(days > 0)) return () => {};
  const sweep = (): Promise<void> =>
    letters
      .removeResolvedBefore(new Date(clock.now() - days * 24 * hourMs).toISOString())
      .catch((error) => log.error("old dead letters could not be removed", { error: explain(error) }));
  void sweep();
  const timer = setInterval(() => void sweep(), hourMs);
  timer.unref();
  return () => clearInterval(timer);
}
