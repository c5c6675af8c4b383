import type { PluginApp } from "../../core/index.ts";
import { explain } from "../../core/errors.ts";
import { backOff } from "../../core/records/lanes.ts";
import type { Label } from "./label.ts";
import type { Status } from "./status.ts";
import { lockOf, writeLabels } from "./store.ts";
import type { Reached, Subscriptions } from "./subscriptions.ts";

export interface WriteParts {
  app: Pick<PluginApp, "db" | "clock" | "log">;
  subscriptions: Subscriptions;
  status: Pick<Status, "counted" | "refused">;
}

/**
 * Stores labels of a labeler and, in the transaction of the last of them, how far its stream was read. Waits for a
 * database that is away.
 * @throws NotSubscribed, or what aborted the signal
 */
export type LabelWriter = (
  did: string,
  labels: readonly Label[],
  /** Undefined for labels that were asked for by URI. */
  reached: Reached | undefined,
  signal: AbortSignal,
) => Promise<void>;

/** The subscription was paused or removed, so nothing was stored. */
export class NotSubscribed extends Error {}

/** Labels of one transaction; more would keep requests waiting on SQLite. */
const maxBatch = 500;

export function createWriter({ app, subscriptions, status }: WriteParts): LabelWriter {
  const { db, clock, log } = app;

  async function attempt(
    did: string,
    labels: readonly Label[],
    reached: Reached | undefined,
    isLast: boolean,
  ) {
    const written = await db.transaction(async (tx) => {
      await tx.lock([lockOf(did)]);
      if (!(await subscriptions.isActive(tx, did))) throw new NotSubscribed(`${did} is not subscribed to`);
      const options = { nowMs: clock.now(), inOrder: reached !== undefined };
      const result = await writeLabels(tx, labels, options);
      if (reached && isLast) await subscriptions.reached(tx, did, reached);
      return result;
    });
    status.counted("stored", written.stored);
    status.counted("ended", written.ended);
    status.counted("stale", written.stale);
  }

  const write: LabelWriter = async (did, labels, reached, signal) => {
    for (let start = 0; start === 0 || start < labels.length; start += maxBatch) {
      const batch = labels.slice(start, start + maxBatch);
      await writeBatch(did, batch, reached, start + maxBatch >= labels.length, signal);
    }
  };

  async function writeBatch(
    did: string,
    batch: readonly Label[],
    reached: Reached | undefined,
    isLast: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    for (let tries = 0; ; tries++) {
      signal.throwIfAborted();
      try {
        return await attempt(did, batch, reached, isLast);
      } catch (error) {
        if (error instanceof NotSubscribed) throw error;
        if (!db.isTransient(error)) {
          if (batch.length === 0) throw error;
          return oneByOne(did, batch, reached, isLast, signal, error);
        }
        log.error("labels cannot be written; trying again", { labeler: did, tries, error: explain(error) });
        await backOff(tries, signal);
      }
    }
  }

  /** What is wrong with one label stays wrong, and must not hold up the others. */
  async function oneByOne(
    did: string,
    batch: readonly Label[],
    reached: Reached | undefined,
    isLast: boolean,
    signal: AbortSignal,
    cause: unknown,
  ): Promise<void> {
    const [only, ...others] = batch;
    if (only && others.length === 0) {
      status.refused(did, `the database refuses it: ${explain(cause)}`, only.uri);
      return writeBatch(did, [], reached, isLast, signal);
    }
    for (const [i, label] of batch.entries())
      await writeBatch(did, [label], reached, isLast && i === batch.length - 1, signal);
  }

  return write;
}
