import { randomUUID } from "node:crypto";
import type { BulkInsert, Database } from "../../core/db/database.ts";
import { explain } from "../../core/errors.ts";
import type { LogEvent } from "../../core/events.ts";
import type { Logger } from "../../core/index.ts";

const intoEvents: BulkInsert = {
  table: "happyview_event_logs",
  columns: {
    id: "text",
    event_type: "text",
    severity: "text",
    actor_did: "text",
    subject: "text",
    detail: "text",
    created_at: "text",
  },
};

/** Entries that may wait for the database; more are counted and left out, since a log must not take the memory. */
const maxWaiting = 10_000;

export interface Recorder {
  add(event: LogEvent): void;
  /** Writes what waits. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Writes entries in batches, at most a few times a second, off the way of requests and records. */
export function createRecorder(db: Database, log: Logger): Recorder {
  let waiting: LogEvent[] = [];
  let lost = 0;
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    try {
      await db.transaction((tx) => tx.insertMany(intoEvents, batch.map(toRow)));
    } catch (error) {
      log.error("event log entries could not be written", { entries: batch.length, error: explain(error) });
    }
    if (lost > 0) log.warn("event log entries were left out: too many at once", { entries: lost });
    lost = 0;
  };
  const flush = (): Promise<void> => (writing = writing.then(write));
  const timer = setInterval(() => void flush(), 200);
  timer.unref();

  return {
    add(event) {
      if (waiting.length < maxWaiting) waiting.push(event);
      else lost += 1;
    },
    flush,
    close() {
      clearInterval(timer);
      return flush();
    },
  };
}

function toRow({ type, severity, actor, subject, detail, at }: LogEvent): (string | null)[] {
  return [randomUUID(), type, severity, actor, subject, JSON.stringify(detail), at];
}
