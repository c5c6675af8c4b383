import { setTimeout as sleep } from "node:timers/promises";
import { countersOf, type Hub } from "./hub.ts";
import type { Jobs } from "./jobs.ts";

export interface CountingParts {
  jobs: Pick<Jobs, "refresh">;
  hub: Pick<Hub, "emit">;
  jobId: string;
  signal: AbortSignal;
  /** At least so long between two counts. @default 1000 */
  everyMs?: number;
}

/** Of the time, so that counting the units of a large job does not hold up the fetching of them. */
const share = 1 / 20;

/** Counts the units of a job again and again, and tells whoever watches, until the signal ends it. */
export async function keepCounting({
  jobs,
  hub,
  jobId,
  signal,
  everyMs = 1000,
}: CountingParts): Promise<void> {
  for (let waitMs = everyMs; !signal.aborted;) {
    await sleep(waitMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const begun = performance.now();
    const row = await jobs.refresh(jobId).catch(() => undefined);
    if (row) hub.emit(jobId, countersOf(row));
    waitMs = Math.max(everyMs, (performance.now() - begun) / share);
  }
}
