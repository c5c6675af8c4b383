import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";
import type { Queue } from "./queue.ts";

export interface Lease {
  /** The job is no longer ours: another process has it, or may have it by now. */
  readonly lost: AbortSignal;
  /** Somebody asked for a pause or a cancellation. */
  readonly stopRequested: AbortSignal;
  /** It was cancelled some time ago and has not returned. */
  readonly overdue: AbortSignal;
  /** Looks at the job at once instead of at the next beat. */
  check(): void;
  end(): void;
}

/**
 * Prolongs the lease of a running job while its handler works, and hears of requests that other processes stored.
 * Where the database does not answer in time, the lease is given up before another process can take the job over.
 */
export function holdLease(parts: {
  queue: Pick<Queue, "extend">;
  log: Logger;
  id: string;
  token: string;
  leaseMs: number;
  cancelGraceMs: number;
}): Lease {
  const { queue, log, id, token, leaseMs, cancelGraceMs } = parts;
  const lost = new AbortController();
  const stop = new AbortController();
  const overdue = new AbortController();
  let confirmedAt = performance.now();
  let isBeating = false;
  let askedMeanwhile = false;
  let isOver = false;
  let grace: NodeJS.Timeout | undefined;

  const beat = async (): Promise<void> => {
    if (isBeating) {
      askedMeanwhile = true;
      return;
    }
    isBeating = true;
    askedMeanwhile = false;
    const askedAt = performance.now();
    try {
      const status = await queue.extend(id, token);
      if (status === undefined) return lost.abort(new Error("the job was taken over by another process"));
      confirmedAt = askedAt;
      if (status === "cancelling")
        grace ??= setTimeout(() => overdue.abort(new Error("the job was cancelled")), cancelGraceMs).unref();
      if (status !== "running") stop.abort();
    } catch (error) {
      log.warn("the lease of a job could not be prolonged", { job: id, error: explain(error) });
    } finally {
      isBeating = false;
      // What this beat read may be older than what it was asked to look at.
      if (askedMeanwhile && !isOver) void beat();
    }
  };
  const timer = setInterval(() => {
    if (performance.now() - confirmedAt > leaseMs * 0.8)
      lost.abort(new Error("the database did not answer while the job's lease ran out"));
    else void beat();
  }, leaseMs / 4);
  timer.unref();

  return {
    lost: lost.signal,
    stopRequested: stop.signal,
    overdue: overdue.signal,
    check: () => void beat(),
    end() {
      isOver = true;
      clearInterval(timer);
      clearTimeout(grace);
    },
  };
}
