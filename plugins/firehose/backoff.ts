export interface BackoffOptions {
  /** @default 60_000 */
  maxMs?: number;
  /** In [0, 1). @default Math.random */
  random?: () => number;
}

/** How a connection went. */
export interface ConnectionLife {
  /** Milliseconds that it was open; 0 when it never was. */
  openMs: number;
  /** Whether anything was received on it. */
  delivered: boolean;
}

export interface Backoff {
  /** Milliseconds to wait after a connection of this life. */
  after(life: ConnectionLife): number;
}

const quickMs = 250;
const baseMs = 1000;
const floorMs = 100;

/** A connection that delivered for so long worked. */
export const provenMs = 10_000;

/**
 * Full jitter between attempts, doubling up to a maximum: a fleet must not return in step. The first retry is quick,
 * and a clean close waits like any other: servers that accept and close at once would otherwise be hammered. Only a
 * connection that delivered for a while starts the sequence anew, for the same reason.
 */
export function createBackoff(options: BackoffOptions = {}): Backoff {
  const { maxMs = 60_000, random = Math.random } = options;
  let attempts = 0;
  return {
    after({ openMs, delivered }) {
      if (delivered && openMs >= provenMs) attempts = 0;
      const ceiling = attempts === 0 ? quickMs : Math.min(maxMs, baseMs * 2 ** (attempts - 1));
      attempts = Math.min(attempts + 1, 32); // 2 ** 32 seconds is beyond any maximum, and stays a number
      return Math.min(maxMs, Math.max(floorMs, Math.round(random() * ceiling)));
    },
  };
}
