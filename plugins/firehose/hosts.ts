/** Politeness towards the hosts of accounts: one request at a time to each, with pauses. */
export interface Hosts {
  /** Whether the host may be asked now; then it is taken until `free`. */
  take(host: string): boolean;
  /** The request is over; the host is left alone for `waitMs` at least. */
  free(host: string, waitMs?: number): void;
}

const maxRemembered = 10_000;

export function createHosts({ gapMs, now }: { gapMs: number; now: () => number }): Hosts {
  const busy = new Set<string>();
  const restUntil = new Map<string, number>();
  return {
    take(host) {
      if (busy.has(host) || now() < (restUntil.get(host) ?? 0)) return false;
      busy.add(host);
      return true;
    },
    free(host, waitMs = 0) {
      busy.delete(host);
      if (restUntil.size >= maxRemembered)
        for (const [name, until] of restUntil) if (until <= now()) restUntil.delete(name);
      if (restUntil.size >= maxRemembered) restUntil.clear();
      restUntil.set(host, now() + Math.max(gapMs, waitMs));
    },
  };
}
