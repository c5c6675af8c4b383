import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { Database, Transaction } from "../db/database.ts";
import { explain } from "../errors.ts";
import type { Events } from "../events.ts";
import type { Hooks } from "../hooks.ts";
import type { Logger } from "../log.ts";
import { applyAccount } from "./accounts.ts";
import { announce } from "./announce.ts";
import type { Backlog, Entry } from "./backlog.ts";
import { atUri, lexiconSchema, type AppliedChange, type CommitEvent, type SourceEvent } from "./change.ts";
import { backOff } from "./lanes.ts";
import { storePositions } from "./positions.ts";
import { applySync } from "./sync.ts";
import { writeCommits } from "./write.ts";

/** Writes events in the order of their coming, many in one transaction, together with the position they lead to. */
export interface Batches {
  add(entry: Entry): void;
  /** The rev that is on its way to the database for a record. */
  revOf(uri: string): string | undefined;
  /** Ends when nothing is left; rejects only when the server stops while the database is away. */
  readonly writing: Promise<void> | undefined;
  /** Why the last attempt failed, and since when (Unix milliseconds); undefined while records can be written. */
  readonly failure: { at: number; error: unknown } | undefined;
}

export interface BatchesParts {
  db: Database;
  hooks: Hooks;
  events: Events;
  clock: Clock;
  log: Logger;
  backlog: Backlog;
  maxBatch: number;
  signal: AbortSignal;
  /** An event is durable, or the database refuses it. */
  finish(entry: Entry, outcome: "stored" | "rejected"): void;
}

export function createBatches(parts: BatchesParts): Batches {
  const { db, events, clock, log, backlog, maxBatch, signal, finish } = parts;
  const inFlight = new Map<string, string>();
  let ready: Entry[] = [];
  let failure: Batches["failure"];
  let writing: Promise<void> | undefined;

  async function writeReady(): Promise<void> {
    await nextTurn(); // what arrived in this turn of the event loop shares a transaction
    while (ready.length > 0) {
      const batch = ready.slice(0, maxBatch);
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
        const applied = await write(batch);
        failure = undefined;
        await announce(parts, applied, batch);
        return new Set();
      } catch (error) {
        failure = { at: failure?.at ?? clock.now(), error };
        // What is wrong with one event stays wrong: trying it for ever would hold up all others.
        if (!db.isTransient(error)) return writeOneByOne(batch, error);
        log.error("records cannot be written; trying again", {
          events: batch.length,
          attempt,
          error: explain(error),
        });
        if (signal.aborted && attempt >= 2) throw error;
        await backOff(attempt, signal);
      }
    }
  }

  async function writeOneByOne(batch: Entry[], error: unknown): Promise<Set<Entry>> {
    if (batch.length === 1) {
      refuse(batch[0]?.event, error);
      return new Set(batch);
    }
    const refused = new Set<Entry>();
    for (const entry of batch) for (const one of await writeUntilDurable([entry])) refused.add(one);
    return refused;
  }

  async function write(batch: readonly Entry[]): Promise<AppliedChange[]> {
    const positions = backlog.positionsAfter(batch.map((entry) => entry.slot));
    const result = await db.transaction(async (tx) => {
      // What is newer is decided by reading before writing: no other pipeline may write in between.
      const [, , applied] = await Promise.all([
        tx.lock(batch.map(({ event }) => event.did)),
        storePositions(tx, positions, clock),
        apply(tx, batch, clock),
      ]);
      return applied;
    });
    backlog.confirm(positions);
    return result;
  }

  function refuse(event: SourceEvent | undefined, error: unknown): void {
    const subject = event?.kind === "commit" ? uriOf(event) : (event?.did ?? null);
    log.error("the database refuses an event; it is left out", { subject, error: explain(error) });
    events.emit({ type: "record.refused", severity: "error", subject, detail: { error: explain(error) } });
  }

  return {
    add(entry) {
      ready.push(entry);
      if (entry.event.kind === "commit") inFlight.set(uriOf(entry.event), entry.event.rev);
      if (writing) return;
      writing = writeReady().finally(() => (writing = undefined));
      writing.catch(() => {}); // whoever closes the pipeline hears of it
    },
    revOf: (uri) => inFlight.get(uri),
    get writing() {
      return writing;
    },
    get failure() {
      return failure;
    },
  };
}

async function apply(tx: Transaction, batch: readonly Entry[], clock: Clock): Promise<AppliedChange[]> {
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

function uriOf(event: CommitEvent): string {
  return atUri(event.did, event.collection, event.rkey);
}
