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

/** What may wait for the database; more is counted and left out, since a log must not take the memory. */
const maxWaiting = 10_000;
const maxWaitingChars = 16 * 1024 * 1024;

/** Details come from what strangers sent and from scripts, and are kept for weeks. */
const maxDetailBytes = 16 * 1024;
const previewChars = 4096;

export interface Recorder {
  add(event: LogEvent): void;
  /** Writes what waits. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Writes entries in batches, at most a few times a second, off the way of requests and records. */
export function createRecorder(db: Database, log: Logger): Recorder {
  let waiting: Entry[] = [];
  let waitingChars = 0;
  let lost = 0;
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    waitingChars = 0;
    if (batch.length === 0) return;
    try {
      await db.transaction((tx) => tx.insertMany(intoEvents, batch));
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
      const entry = toEntry(event);
      const chars = entry.reduce((sum, text) => sum + (text?.length ?? 0), 0);
      if (waiting.length >= maxWaiting || waitingChars + chars > maxWaitingChars) return void (lost += 1);
      waiting.push(entry);
      waitingChars += chars;
    },
    flush,
    close() {
      clearInterval(timer);
      return flush();
    },
  };
}

/** A row of `intoEvents`. */
type Entry = (string | null)[];

function toEntry({ type, severity, actor, subject, detail, at }: LogEvent): Entry {
  return [randomUUID(), type, severity, actor, subject, bounded(JSON.stringify(detail)), at];
}

function bounded(detail: string): string {
  if (Buffer.byteLength(detail) <= maxDetailBytes) return detail;
  return JSON.stringify({ truncated: true, preview: detail.slice(0, previewChars) });
}
