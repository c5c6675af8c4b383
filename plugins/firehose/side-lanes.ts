import { setTimeout as sleep } from "node:timers/promises";

export interface SideLanesOptions {
  /** How much may be under way before `add` asks to wait. */
  limit: number;
  /** How long, of each minute, all of it together may keep the stream waiting. */
  maxHoldMs: number;
  /** Unix milliseconds. */
  now: () => number;
}

/**
 * Work that depends on hosts of strangers, beside the stream: one that is silent must hold up nobody else, and many must
 * not hold up the stream for longer than they are granted together. What is of one repo keeps its order.
 */
export interface SideLanes {
  /** False when nothing more can wait: the lanes are full, and the time that they had is used up. */
  hasRoom(): boolean;
  /** Neither the work nor its finish may reject; a promise means "give no more before it resolves". */
  add<T>(
    did: string,
    work: Promise<T>,
    finish: (result: T) => Promise<void> | void,
  ): Promise<void> | undefined;
  /** Resolves when all has finished. */
  done(): Promise<void>;
}

const windowMs = 60_000;

export function createSideLanes({ limit, maxHoldMs, now }: SideLanesOptions): SideLanes {
  const lanes = new Map<string, Promise<void>>();
  let count = 0;
  let windowFrom = now();
  let heldMs = 0;
  let holding: Promise<void> | undefined;
  let wake: (() => void) | undefined;

  function patienceMs(): number {
    if (now() - windowFrom >= windowMs) {
      windowFrom = now();
      heldMs = 0;
    }
    return maxHoldMs - heldMs;
  }

  /** Until there is room, or no patience. */
  async function hold(): Promise<void> {
    const from = now();
    const over = new AbortController();
    const room = new Promise<void>((go) => (wake = go));
    const out = sleep(patienceMs(), undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([room, out]);
    over.abort();
    heldMs += now() - from;
    holding = undefined;
  }

  return {
    hasRoom: () => count < limit || patienceMs() > 0,
    add(did, work, finish) {
      count += 1;
      const lane = Promise.all([work, lanes.get(did)]).then(async ([result]) => {
        await finish(result);
        count -= 1;
        if (lanes.get(did) === lane) lanes.delete(did);
        if (count < limit) wake?.();
      });
      lanes.set(did, lane);
      return count >= limit && patienceMs() > 0 ? (holding ??= hold()) : undefined;
    },
    done: async () => void (await Promise.all(lanes.values())),
  };
}
