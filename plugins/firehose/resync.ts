import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";

export interface ResyncParts {
  /** Has these repos read anew; resolves when the order is durable. */
  start: (dids: string[]) => Promise<unknown>;
  log: Logger;
  /** Unix milliseconds. */
  now: () => number;
  /** Orders of so long go together. @default 500 */
  collectMs?: number;
  /** A repo is read anew once in so long: anybody can say that a repo was reset. @default 600_000 */
  restMs?: number;
}

export interface Resync {
  /** Resolves when the repo will be read anew, whatever happens; never rejects. */
  request(did: string): Promise<void>;
  close(): void;
}

const maxRemembered = 10_000;

/** Orders of repos that are not what the index holds any more, collected into few jobs. */
export function createResync(parts: ResyncParts): Resync {
  const { start, log, now, collectMs = 500, restMs = 600_000 } = parts;
  const startedAt = new Map<string, number>();
  const later = new Map<string, NodeJS.Timeout>();
  let collected = new Set<string>();
  let ordering: Promise<void> | undefined;

  async function order(): Promise<void> {
    await new Promise((go) => setTimeout(go, collectMs));
    const dids = [...collected];
    collected = new Set();
    ordering = undefined;
    try {
      await start(dids);
    } catch (error) {
      log.error("repos that were reset cannot be read anew; backfill them", { dids, error: explain(error) });
    }
  }

  function enter(did: string): Promise<void> {
    if (startedAt.size >= maxRemembered)
      for (const [known, at] of startedAt) if (now() - at >= restMs) startedAt.delete(known);
    if (startedAt.size >= maxRemembered) startedAt.clear();
    startedAt.set(did, now());
    collected.add(did);
    ordering ??= order();
    return ordering;
  }

  return {
    request(did) {
      const restsMs = (startedAt.get(did) ?? -Infinity) + restMs - now();
      if (restsMs <= 0) return enter(did);
      if (later.has(did) || later.size >= maxRemembered) return Promise.resolve();
      const timer = setTimeout(() => {
        later.delete(did);
        void enter(did);
      }, restsMs);
      later.set(did, timer.unref());
      return Promise.resolve();
    },
    close() {
      for (const timer of later.values()) clearTimeout(timer);
    },
  };
}
