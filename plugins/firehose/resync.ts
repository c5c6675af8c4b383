import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../core/db/database.ts";
import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";

export interface ResyncParts {
  db: Pick<Database, "all" | "get" | "run" | "isTransient">;
  /** Has these repos read anew; resolves when the order is durable. */
  start: (dids: string[]) => Promise<unknown>;
  log: Logger;
  /** Unix milliseconds. */
  now: () => number;
  /** Orders of so long go together. @default 500 */
  collectMs?: number;
  /** A repo is read anew once in so long: anybody can say that a repo was reset. @default 600_000 */
  restMs?: number;
  /** Between two attempts while the database is away. @default 1000 */
  retryMs?: number;
}

export interface Resync {
  /** Resolves when it is durable that the repo will be read anew; never rejects. */
  request(did: string): Promise<void>;
  /** Whether this process orders what is due, from now on; also what an earlier leader left. */
  leads(isLeader: boolean): void;
  close(): Promise<void>;
}

const maxRemembered = 10_000;
const maxOrdered = 500;

/** Repos that are not what the index holds any more: stored until they are ordered, many in one job. */
export function createResync(parts: ResyncParts): Resync {
  const { db, start, log, now, collectMs = 500, restMs = 600_000, retryMs = 1000 } = parts;
  const startedAt = new Map<string, number>();
  const closing = new AbortController();
  let isLeader = false;
  let timer: NodeJS.Timeout | undefined;
  let wakesAt = Infinity;
  let ordering = Promise.resolve();

  function wakeAt(at: number): void {
    if (!isLeader || at >= wakesAt) return;
    clearTimeout(timer);
    wakesAt = at;
    timer = setTimeout(() => (ordering = ordering.then(order)), Math.max(0, at - now())).unref();
  }

  function sleepOn(): void {
    clearTimeout(timer);
    wakesAt = Infinity;
  }

  async function order(): Promise<void> {
    sleepOn();
    try {
      await orderDue(Math.floor(now()));
      const sql = "SELECT min(due_at) AS due FROM happyview_firehose_resyncs";
      const next = await db.get<{ due: number | null }>(sql);
      if (typeof next?.due === "number") wakeAt(next.due + collectMs);
    } catch (error) {
      log.error("repos that were reset cannot be read anew; trying again", { error: explain(error) });
      wakeAt(now() + retryMs);
    }
  }

  async function orderDue(at: number): Promise<void> {
    const sql = "SELECT did FROM happyview_firehose_resyncs WHERE due_at <= ? ORDER BY due_at LIMIT ?";
    const dids = (await db.all<{ did: string }>(sql, [at, maxOrdered])).map(({ did }) => did);
    if (dids.length === 0) return;
    // What is asked for from here on may come too late for this order: it has a later time, and stays.
    for (const did of dids) remember(did, at);
    await start(dids);
    const those = dids.map(() => "?").join(", ");
    await db.run(`DELETE FROM happyview_firehose_resyncs WHERE due_at <= ? AND did IN (${those})`, [
      at,
      ...dids,
    ]);
  }

  function remember(did: string, at: number): void {
    if (startedAt.size >= maxRemembered)
      for (const [known, since] of startedAt) if (at - since >= restMs) startedAt.delete(known);
    if (startedAt.size >= maxRemembered) startedAt.clear();
    startedAt.set(did, at);
  }

  async function store(did: string): Promise<void> {
    const dueAt = Math.max(Math.floor(now()), (startedAt.get(did) ?? -Infinity) + restMs);
    await db.run(
      `INSERT INTO happyview_firehose_resyncs (did, due_at) VALUES (?, ?)
       ON CONFLICT (did) DO UPDATE SET due_at = excluded.due_at`,
      [did, dueAt],
    );
    wakeAt(dueAt + collectMs);
  }

  return {
    async request(did) {
      while (!closing.signal.aborted)
        try {
          return await store(did);
        } catch (error) {
          log.error("a repo that was reset cannot be read anew", { did, error: explain(error) });
          if (!db.isTransient(error)) return;
          await sleep(retryMs, undefined, { signal: closing.signal }).catch(() => undefined);
        }
    },
    leads(is) {
      isLeader = is;
      if (is) wakeAt(now());
      else sleepOn();
    },
    async close() {
      this.leads(false);
      closing.abort();
      await ordering;
    },
  };
}
