import type { Clock } from "../clock.ts";
import type { Database } from "../db/database.ts";
import { explain } from "../errors.ts";
import type { Events } from "../events.ts";
import type { CheckResult } from "../health.ts";
import type { Hooks } from "../hooks.ts";
import type { LexiconRegistry } from "../lexicons/registry.ts";
import type { Logger } from "../log.ts";
import { refusalOf } from "./acceptance.ts";
import { Backlog, type Entry } from "./backlog.ts";
import { createBatches } from "./batches.ts";
import type { SourceEvent, StreamPosition } from "./change.ts";
import type { RecordInterceptor } from "./intercept.ts";
import { createLanes } from "./lanes.ts";
import { storedPosition, storePositions } from "./positions.ts";
import { createStaleCheck } from "./stale.ts";
import { weightOf } from "./weight.ts";

export interface PipelineLimits {
  /** Events accepted and not yet durable; a source waits while there are more, or 64 MiB of them. @default 5000 */
  maxPending?: number;
  /**
   * Events written in one transaction. @default 1000 on SQLite, where other writes wait behind it, and 500 on Postgres,
   * where who lists the newest passes over all that is not committed
   */
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
  const { db, hooks, events, clock, log } = parts;
  const limits = { maxPending: 5000, maxBatch: db.dialect === "sqlite" ? 1000 : 500, ...parts.limits };
  const backlog = new Backlog(limits.maxPending);
  const stopping = new AbortController();
  const { signal } = stopping;
  const finish = (entry: Entry, outcome: keyof Intake): void => {
    backlog.finish(entry.slot);
    entry.finished?.(outcome);
  };
  const { maxBatch } = limits;
  const batches = createBatches({ db, hooks, events, clock, log, backlog, maxBatch, signal, finish });
  const isStaleStored = createStaleCheck(db);
  const lanes = createLanes({
    limits: { maxIntercepts: 50, maxLaneWaitMs: 10_000, ...parts.limits },
    interceptors: parts.interceptors ?? [],
    signal,
    async isStale(event, uri) {
      if (event.rev !== "" && (batches.revOf(uri) ?? "") >= event.rev) return true;
      return isStaleStored(event, uri);
    },
    goOn: batches.add,
    leaveOut(entry, reason) {
      finish(entry, reason === "stale" ? "stored" : reason);
      backlog.settle();
    },
    events,
    log,
  });

  /** Positions of events that needed no write; the usual way is with a batch. */
  async function savePositions(): Promise<void> {
    const positions = backlog.positionsAfter([]);
    if (positions.length === 0) return;
    await storePositions(db, positions, clock);
    backlog.confirm(positions);
    backlog.settle();
  }

  const saver = setInterval(() => {
    if (!batches.writing)
      void savePositions().catch((error) =>
        log.error("the position cannot be saved", { error: explain(error) }),
      );
  }, 1000);
  saver.unref();

  function take(entry: Entry): Promise<void> | undefined {
    entry.slot.bytes = weightOf(entry.event);
    backlog.add(entry.slot);
    if (signal.aborted) return undefined;
    const refused = refusalOf(entry.event, parts);
    if (refused) finish(entry, refused);
    else if (!lanes.take(entry)) batches.add(entry);
    return backlog.room();
  }

  return {
    ingest: (event, position) => take({ event, slot: { position, done: false } }),
    async ingestMany(events) {
      const stopped = abortOf(signal);
      const outcomes: Promise<keyof Intake>[] = [];
      try {
        for (const event of events) {
          signal.throwIfAborted();
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
      const { failure } = batches;
      if (!failure) return { ok: true, detail: { pending } };
      return {
        ok: false,
        detail: { pending, failingSeconds: Math.round((clock.now() - failure.at) / 1000) },
      };
    },
    stop: () => stopping.abort(new Error("the server is stopping")),
    async close() {
      this.stop();
      clearInterval(saver);
      await batches.writing;
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
