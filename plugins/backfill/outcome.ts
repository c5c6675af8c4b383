import { toFailure, type Failure } from "./failure.ts";
import { HostUnavailable } from "./hosts.ts";
import { NoRoom } from "./room.ts";
import type { UnitStatus } from "./unit.ts";

export interface Outcome {
  status: UnitStatus;
  /** Attempts in a row that brought nothing, from now on. */
  attempts: number;
  failure?: Failure;
  /** Unix milliseconds. */
  notBefore?: number;
  /** A host that is down: others that wait for it need not try. */
  downHost?: string;
}

const maxRetryMs = 120_000;

/** What becomes of a unit whose work ended with an error. */
export function outcomeOf(
  error: unknown,
  known: {
    attempts: number;
    maxAttempts: number;
    nowMs: number;
    /** The first wait before another attempt; it doubles. */
    retryMs: number;
    isStopping: boolean;
    isDatabaseAway: boolean;
  },
): Outcome {
  const { attempts, maxAttempts, nowMs, retryMs, isStopping, isDatabaseAway } = known;
  if (isStopping) return { status: "pending", attempts };
  if (isDatabaseAway || error instanceof NoRoom)
    return { status: "retrying", attempts, notBefore: nowMs + retryMs };
  if (error instanceof HostUnavailable) {
    const { failure, until, host } = error;
    // Waiting for a host is not an attempt.
    if (until !== undefined) return { status: "retrying", attempts, failure, notBefore: until };
    return { status: "failed", attempts, failure, downHost: host };
  }
  const failure = toFailure(error);
  if (!failure.retryable) return { status: "failed", attempts: attempts + 1, failure };
  if (failure.kind === "rate_limited")
    return { status: "retrying", attempts, failure, notBefore: nowMs + (failure.waitMs ?? retryMs) };
  if (attempts + 1 >= maxAttempts) return { status: "failed", attempts: attempts + 1, failure };
  const wait = failure.waitMs ?? Math.min(retryMs * 2 ** attempts, maxRetryMs);
  return { status: "retrying", attempts: attempts + 1, failure, notBefore: nowMs + wait };
}
