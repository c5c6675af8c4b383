import type { Storage } from "unstorage";
import { charge, type BucketState, type Charge, type Limit } from "./bucket.ts";

/** Buckets by name. */
export interface Buckets {
  take(name: string, limit: Limit, cost: number): Promise<Charge> | Charge;
}

const maxBuckets = 100_000;
const idleMs = 300_000;

/** Of this process; a bucket that was idle for five minutes is full again anyway, or nearly. */
export function inMemory(now: () => number): Buckets {
  const buckets = new Map<string, BucketState>();
  return {
    take(name, limit, cost) {
      const result = charge(buckets.get(name), limit, cost, now());
      // The order of a Map is that of insertion: the front is what was used longest ago.
      buckets.delete(name);
      buckets.set(name, result.state);
      if (buckets.size > maxBuckets) sweep();
      return result;
    },
  };

  function sweep(): void {
    for (const [name, { at }] of buckets) {
      if (buckets.size <= maxBuckets && now() - at < idleMs) return;
      buckets.delete(name);
    }
  }
}

/**
 * Shared by the processes of a storage. Two that charge one bucket at the same instant may count once: a limit is a
 * matter of fairness, and a lock would cost each request a round trip more.
 */
export function shared(storage: Storage, now: () => number): Buckets {
  return {
    async take(name, limit, cost) {
      const key = `rate-limit:${name}`;
      const result = charge((await storage.getItem<BucketState>(key)) ?? undefined, limit, cost, now());
      await storage.setItem(key, result.state, { ttl: idleMs / 1000 });
      return result;
    },
  };
}
