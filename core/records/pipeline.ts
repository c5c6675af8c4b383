import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { Database, Transaction } from "../db/database.ts";
import { explain } from "../errors.ts";
import type { Events } from "../events.ts";
import type { CheckResult } from "../health.ts";
import type { Hooks } from "../hooks.ts";
import type { LexiconRegistry } from "../lexicons/registry.ts";
import type { Logger } from "../log.ts";
import { refusalOf } from "./acceptance.ts";
import { applyAccount } from "./accounts.ts";
import { announce } from "./announce.ts";
import { Backlog, type Entry } from "./backlog.ts";
import {
  atUri,
  lexiconSchema,
  type AppliedChange,
  type CommitEvent,
  type SourceEvent,
  type StreamPosition,
} from "./change.ts";
import type { RecordInterceptor } from "./intercept.ts";
import { backOff, createLanes } from "./lanes.ts";
import { storedPosition, storePositions } from "./positions.ts";
import { createStaleCheck } from "./stale.ts";
import { applySync } from "./sync.ts";
import { weightOf } from "./weight.ts";
import { writeCommits } from "./write.ts";

export interface PipelineLimits {
  /** Events accepted and not yet durable; a source waits while there are more, or 64 MiB of them. @default 5000 */
  maxPending?: number;
  /** Events written in one transaction; other writes wait behind it on SQLite. @default 1000 */
  maxBatch?: number;
  /** Interceptors running at once. @default 50 (sync-and-xrpc §2.4) */
  maxIntercepts?: number;
  /** How long the events of one repo may wait for further attempts, one after another. @default 10_000 */
  maxLaneWaitMs?: number;
}

/**
 * The one door for records, from whatever source. Events of one repo are handled in order; batches are written in one
 * transaction together with the position up to which nothing is missing, so a crash at any point loses nothing and a
 * repetition changes nothing.
 */
export interface Pipeline {
  /** Takes an event in; a promise means "wait before you send more". */
  ingest(event: SourceEvent, position?: StreamPosition): Promise<void> | void;
  /**
   * Takes in what belongs together, as a page of a backfill, and resolves when all of it is durable.
   * @throws Error when the server stops before
   */
  ingestMany(events: readonly SourceEvent[]): Promise<Intake>;
  /** Takes a position whose event is nobody's concern, so that the source is not read from before it again. */
  skip(position: StreamPosition): Promise<void> | void;
  /** Runs before records are stored; in the order of registration. */
  intercept(interceptor: RecordInterceptor): void;
  /** Resolves when all that was taken in so far is durable. */
  flush(): Promise<void>;
  /** The stored position of a source. */
  position(source: string): Promise<string | undefined>;
  pending(): number;
  /** Whether records can be written: not while the last attempt failed. */
  health(): CheckResult;
  /** Takes nothing in any more; what interceptors still hold is not done, so it is read again next time. */
  stop(): void;
  /** Writes what is ready, saves the position, and stops. */
  close(): Promise<void>;
}

/** What became of events, in numbers. */
export interface Intake {
  /** In the index, or something newer is. */
  stored: number;
  /** Left out by an interceptor, or no lexicon tracks it. */
  skipped: number;
  /** Not acceptable: it names no record, has another CID than claimed, or the database refuses it. */
  rejected: number;
}

export interface PipelineParts {
  db: Database;
  lexicons: Pick<LexiconRegistry, "isTracked">;
  hooks: Hooks;
  events: Events;
  clock: Clock;
  log: Logger;
  limits?: PipelineLimits;
  /** Shared between the pipelines of an app. @default none */
  interceptors?: RecordInterceptor[];
}

export function createPipeline(parts: PipelineParts): Pipeline {
  const { db, events, clock, log } = parts;
  const limits = { maxPending: 5000, maxBatch: 1000, ...parts.limits };
  const backlog = new Backlog(limits.maxPending);
  const stopping = new AbortController();
  const isStaleStored = createStaleCheck(db);
  const lanes = createLanes({
    limits: { maxIntercepts: 50, maxLaneWaitMs: 10_000, ...parts.limits },
    interceptors: parts.interceptors ?? [],
    signal: stopping.signal,
    isStale: isOutdated,
    goOn: makeReady,
    leaveOut(entry, reason) {
      finish(entry, reason === "stale" ? "stored" : reason);
      backlog.settle();
    },
    events,
    log,
  });
  /** The rev of each record that is on its way to the database. */
  const inFlight = new Map<string, string>();
  let ready: Entry[] = [];
  let lastFailure: { at: number; error: unknown } | undefined;
  let writing: Promise<void> | undefined;

  function finish(entry: Entry, outcome: keyof Intake): void {
    backlog.finish(entry.slot);
    entry.finished?.(outcome);
  }

  async function isOutdated(event: CommitEvent, uri: string): Promise<boolean> {
    if (event.rev !== "" && (inFlight.get(uri) ?? "") >= event.rev) return true;
    return isStaleStored(event, uri);
  }

  function makeReady(entry: Entry): void {
    ready.push(entry);
    if (entry.event.kind === "commit") inFlight.set(uriOf(entry.event), entry.event.rev);
    if (writing) return;
    writing = writeReady().finally(() => (writing = undefined));
    writing.catch(() => {}); // fails only at a stop while the database is away, which close() reports
  }

  async function writeReady(): Promise<void> {
    await nextTurn(); // what arrived in this turn of the event loop shares a transaction
    while (ready.length > 0) {
      const batch = ready.slice(0, limits.maxBatch);
      const refused = await writeUntilDurable(batch);
      ready = ready.slice(batch.length);
      for (const entry of batch) {
        finish(entry, refused.has(entry) ? "rejected" : "stored");
        const { event } = entry;
        if (event.kind === "commit" && inFlight.get(uriOf(event)) === event.rev)
          inFlight.delete(uriOf(event));
      }
      backlog.settle();
      await nextTurn();
    }
  }

  /**
   * Retries for as long as the database is away; a single event that the database refuses is reported and left out.
   * Returns what was refused.
   */
  async function writeUntilDurable(batch: Entry[]): Promise<Set<Entry>> {
    for (let attempt = 0; ; attempt++) {
      try {
        const applied = await writeBatch(batch);
        lastFailure = undefined;
        await announce(parts, applied, batch);
        return new Set();
      } catch (error) {
        lastFailure = { at: clock.now(), error };
        // What is wrong with one event stays wrong: trying it for ever would hold up all others.
        if (!db.isTransient(error)) {
          if (batch.length === 1) {
            refuse(batch[0]?.event, error);
            return new Set(batch);
          }
          const refused = new Set<Entry>();
          for (const entry of batch) for (const one of await writeUntilDurable([entry])) refused.add(one);
          return refused;
        }
        log.error("records cannot be written; trying again", {
          events: batch.length,
          attempt,
          error: explain(error),
        });
        if (stopping.signal.aborted && attempt >= 2) throw error;
        await backOff(attempt, stopping.signal);
      }
    }
  }

  async function writeBatch(batch: Entry[]): Promise<AppliedChange[]> {
    const positions = backlog.positionsAfter(batch.map((entry) => entry.slot));
    const result = await db.transaction(async (tx) => {
      // What is newer is decided by reading before writing: no other pipeline may write in between.
      const [, , applied] = await Promise.all([
        tx.lock(batch.map(({ event }) => event.did)),
        storePositions(tx, positions, clock),
        apply(tx, batch),
      ]);
      return applied;
    });
    backlog.confirm(positions);
    return result;
  }

  async function apply(tx: Transaction, batch: readonly Entry[]): Promise<AppliedChange[]> {
    const applied: AppliedChange[] = [];
    let commits: CommitEvent[] = [];
    for (const { event } of batch) {
      if (event.kind === "commit" && event.collection !== lexiconSchema) commits.push(event);
      if (event.kind !== "account" && event.kind !== "sync") continue;
      applied.push(...(await writeCommits(tx, commits, clock)));
      commits = [];
      if (event.kind === "sync") applied.push(...(await applySync(tx, event)));
      else await applyAccount(tx, event);
    }
    applied.push(...(await writeCommits(tx, commits, clock)));
    return applied;
  }

  function refuse(event: SourceEvent | undefined, error: unknown): void {
    const subject = event?.kind === "commit" ? uriOf(event) : (event?.did ?? null);
    log.error("the database refuses an event; it is left out", { subject, error: explain(error) });
    events.emit({ type: "record.refused", severity: "error", subject, detail: { error: explain(error) } });
  }

  /** Positions of events that needed no write; the usual way is inside writeBatch. */
  async function savePositions(): Promise<void> {
    const positions = backlog.positionsAfter([]);
    if (positions.length === 0) return;
    await storePositions(db, positions, clock);
    backlog.confirm(positions);
    backlog.settle();
  }

  const saver = setInterval(() => {
    if (!writing)
      void savePositions().catch((error) =>
        log.error("the position cannot be saved", { error: explain(error) }),
      );
  }, 1000);
  saver.unref();

  function take(entry: Entry): Promise<void> | undefined {
    entry.slot.bytes = weightOf(entry.event);
    backlog.add(entry.slot);
    if (stopping.signal.aborted) return undefined;
    const refused = refusalOf(entry.event, parts);
    if (refused) finish(entry, refused);
    else if (!lanes.take(entry)) makeReady(entry);
    return backlog.room();
  }

  return {
    ingest: (event, position) => take({ event, slot: { position, done: false } }),
    async ingestMany(events) {
      const stopped = abortOf(stopping.signal);
      const outcomes: Promise<keyof Intake>[] = [];
      try {
        for (const event of events) {
          stopping.signal.throwIfAborted();
          const { promise, resolve: finished } = Promise.withResolvers<keyof Intake>();
          outcomes.push(promise);
          const wait = take({ event, slot: { position: undefined, done: false }, finished });
          if (wait) await Promise.race([wait, stopped.promise]);
        }
        const intake: Intake = { stored: 0, skipped: 0, rejected: 0 };
        for (const outcome of await Promise.race([Promise.all(outcomes), stopped.promise]))
          intake[outcome] += 1;
        return intake;
      } finally {
        stopped.end();
      }
    },
    skip(position) {
      backlog.add({ position, done: true });
      return backlog.room();
    },
    intercept: lanes.intercept,
    async flush() {
      await backlog.drained();
      await savePositions();
    },
    position: (source) => storedPosition(db, source),
    pending: () => backlog.pending,
    health() {
      const pending = backlog.pending;
      if (!lastFailure) return { ok: true, detail: { pending } };
      return {
        ok: false,
        detail: { pending, failingSeconds: Math.round((clock.now() - lastFailure.at) / 1000) },
      };
    },
    stop: () => stopping.abort(new Error("the server is stopping")),
    async close() {
      this.stop();
      clearInterval(saver);
      await writing;
      await savePositions();
    },
  };
}

/** Rejects when the signal aborts; `end` lets go of the signal. */
function abortOf(signal: AbortSignal): { promise: Promise<never>; end: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {}); // nobody may be waiting any more
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", abort);
  return { promise, end: () => signal.removeEventListener("abort", abort) };
}

function uriOf(event: CommitEvent): string {
  return atUri(event.did, event.collection, event.rkey);
}
