import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { BulkInsert, Database } from "../db/database.ts";
import { explain } from "../errors.ts";
import type { Events } from "../events.ts";
import type { CheckResult } from "../health.ts";
import type { Hooks } from "../hooks.ts";
import type { LexiconRegistry } from "../lexicons/registry.ts";
import type { Logger } from "../log.ts";
import { applyAccount } from "./accounts.ts";
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
import { cidMatches, shapeProblem } from "./verify.ts";
import { writeCommits } from "./write.ts";

export interface PipelineLimits {
  /** Events accepted and not yet durable; a source waits while there are more. @default 5000 */
  maxPending?: number;
  /** Events written in one transaction; larger ones keep requests waiting on SQLite. @default 500 */
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

export interface PipelineParts {
  db: Database;
  lexicons: Pick<LexiconRegistry, "isTracked">;
  hooks: Hooks;
  events: Events;
  clock: Clock;
  log: Logger;
  limits?: PipelineLimits;
}

const intoPositions: BulkInsert = {
  table: "happyview_stream_positions",
  columns: { source: "text", position: "text", updated_at: "text" },
  onConflict: "(source) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at",
};

export function createPipeline(parts: PipelineParts): Pipeline {
  const { db, lexicons, hooks, events, clock, log } = parts;
  const limits = { maxPending: 5000, maxBatch: 500, ...parts.limits };
  const backlog = new Backlog(limits.maxPending);
  const stopping = new AbortController();
  const lanes = createLanes({
    limits: { maxIntercepts: 50, maxLaneWaitMs: 10_000, ...parts.limits },
    signal: stopping.signal,
    isStale,
    goOn: makeReady,
    leaveOut(entry) {
      backlog.finish(entry.slot);
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

  /** Everything that can be decided without waiting; true when the event goes on. */
  function accept(event: SourceEvent): boolean {
    if (event.kind !== "commit") return true;
    const subject = atUri(event.did, event.collection, event.rkey);
    const invalid = shapeProblem(event.did, event.collection, event.rkey);
    if (invalid) {
      log.warn("an event that names no record was dropped", {
        subject: subject.slice(0, 300),
        reason: invalid,
      });
      return false;
    }
    if (event.collection === lexiconSchema) return true;
    if (!lexicons.isTracked(event.collection)) return false;
    if (event.action === "delete") return true;
    if (!event.record) return false;
    if (cidMatches(event.record, event.cid)) return true;
    const { did, collection, rkey, cid } = event;
    log.warn("a record does not have the CID that its source claims; dropped", { uri: subject, cid });
    events.emit({
      type: "record.cid_mismatch",
      severity: "warn",
      subject,
      detail: { did, collection, rkey, cid },
    });
    return false;
  }

  async function isStale(event: CommitEvent, uri: string): Promise<boolean> {
    if (event.rev === "") return false;
    if ((inFlight.get(uri) ?? "") >= event.rev) return true;
    const row = await db.get<{ rev: string | null; void_before: string | null }>(
      `SELECT max(rev) AS rev, (SELECT void_before FROM happyview_accounts WHERE did = ?) AS void_before FROM (
         SELECT rev FROM happyview_records WHERE uri = ?
         UNION ALL SELECT rev FROM happyview_record_tombstones WHERE uri = ?
         UNION ALL SELECT rev FROM happyview_withheld_records WHERE uri = ?) AS known`,
      [event.did, uri, uri, uri],
    );
    return event.rev <= (row?.rev ?? "") || event.rev < (row?.void_before ?? "");
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
      await writeUntilDurable(batch);
      ready = ready.slice(batch.length);
      for (const entry of batch) {
        backlog.finish(entry.slot);
        const { event } = entry;
        if (event.kind === "commit" && inFlight.get(uriOf(event)) === event.rev)
          inFlight.delete(uriOf(event));
      }
      backlog.settle();
      await nextTurn();
    }
  }

  /** Retries for as long as the database is away; a single event that the database refuses is reported and left out. */
  async function writeUntilDurable(batch: Entry[]): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        const applied = await writeBatch(batch);
        lastFailure = undefined;
        await announce(applied, batch);
        return;
      } catch (error) {
        lastFailure = { at: clock.now(), error };
        // What is wrong with one event stays wrong: trying it for ever would hold up all others.
        if (!db.isTransient(error)) {
          if (batch.length > 1) for (const entry of batch) await writeUntilDurable([entry]);
          else refuse(batch[0]?.event, error);
          return;
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
      const applied: AppliedChange[] = [];
      let commits: CommitEvent[] = [];
      for (const { event } of batch) {
        if (event.kind === "commit" && event.collection !== lexiconSchema) commits.push(event);
        if (event.kind !== "account") continue;
        applied.push(...(await writeCommits(tx, commits, clock)));
        commits = [];
        await applyAccount(tx, event);
      }
      applied.push(...(await writeCommits(tx, commits, clock)));
      const now = clock.timestamp();
      await tx.insertMany(
        intoPositions,
        positions.map(({ source, position }) => [source, position, now]),
      );
      return applied;
    });
    backlog.confirm(positions);
    return result;
  }

  async function announce(applied: AppliedChange[], batch: Entry[]): Promise<void> {
    if (applied.length > 0) await told(() => hooks.callHook("record:after", applied));
    for (const { event } of batch) {
      if (event.kind === "account") await told(() => hooks.callHook("account:changed", event));
      else if (event.kind === "identity") await told(() => hooks.callHook("identity:changed", event));
      else if (event.collection === lexiconSchema) {
        const schema = { did: event.did, nsid: event.rkey, document: event.record };
        await told(() => hooks.callHook("lexicon:published", schema));
      }
    }
  }

  /** One listener that fails must not keep the others from hearing what happened. */
  async function told(call: () => Promise<unknown> | void): Promise<void> {
    try {
      await call();
    } catch (error) {
      log.error("a listener failed after records were written", { error: explain(error) });
    }
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
    const now = clock.timestamp();
    await db.insertMany(
      intoPositions,
      positions.map(({ source, position }) => [source, position, now]),
    );
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

  return {
    ingest(event, position) {
      const entry: Entry = { event, slot: { position, done: false } };
      backlog.add(entry.slot);
      if (stopping.signal.aborted) return;
      if (!accept(event)) backlog.finish(entry.slot);
      else if (!lanes.take(entry)) makeReady(entry);
      return backlog.room();
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
    async position(source) {
      const row = await db.get<{ position: string }>(
        "SELECT position FROM happyview_stream_positions WHERE source = ?",
        [source],
      );
      return row?.position;
    },
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

function uriOf(event: CommitEvent): string {
  return atUri(event.did, event.collection, event.rkey);
}
