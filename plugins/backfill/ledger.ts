import { setTimeout as sleep } from "node:timers/promises";
import type { BulkInsert, Database, SqlValue } from "../../core/db/database.ts";
import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";
import type { Failure } from "./failure.ts";
import type { Unit, UnitStatus } from "./unit.ts";

export interface Entry {
  unit: Unit;
  status: UnitStatus;
  /** Of a failed unit, or one that is tried again. */
  failure?: Failure;
  /** When it may be tried again, in Unix milliseconds. */
  notBefore?: number;
}

/** Where units are written down while they go on: many in one transaction, the latest state of each. */
export interface Ledger {
  note(entry: Entry): void;
  /** Resolves when all that was noted is durable. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const flushEveryMs = 100;

const intoUnits: BulkInsert = {
  table: "happyview_backfill_repos",
  columns: {
    job_id: "text",
    did: "text",
    pds_endpoint: "text",
    status: "text",
    collections: "text",
    progress: "text",
    records_fetched: "int",
    records_removed: "int",
    attempts: "int",
    not_before: "int",
    error_kind: "text",
    error: "text",
    claimed_by: "text",
  },
  // What another process took over is no longer ours to write; an account that was meanwhile found under another
  // collection is not complete yet.
  onConflict: `(job_id, did) DO UPDATE SET
    pds_endpoint = excluded.pds_endpoint,
    status = CASE WHEN excluded.status = 'completed' AND happyview_backfill_repos.collections <> excluded.collections
      THEN 'pending' ELSE excluded.status END,
    progress = excluded.progress, records_fetched = excluded.records_fetched,
    records_removed = excluded.records_removed, attempts = excluded.attempts, not_before = excluded.not_before,
    error_kind = excluded.error_kind, error = excluded.error,
    claimed_by = CASE excluded.status WHEN 'running' THEN happyview_backfill_repos.claimed_by END
    WHERE happyview_backfill_repos.claimed_by = excluded.claimed_by`,
};

export function createLedger(parts: { db: Database; log: Logger; jobId: string; token: string }): Ledger {
  const { db, log, jobId, token } = parts;
  let noted = new Map<string, Entry>();
  let writing: Promise<void> | undefined;

  const toRow = ({ unit, status, failure, notBefore = 0 }: Entry): SqlValue[] => [
    jobId,
    unit.did,
    unit.pdsEndpoint,
    status,
    unit.collections.join(" "),
    unit.progress === null ? null : JSON.stringify(unit.progress),
    unit.records,
    unit.removed,
    unit.attempts,
    Math.round(notBefore),
    failure?.kind ?? null,
    failure?.message ?? null,
    token,
  ];

  async function write(): Promise<void> {
    while (noted.size > 0) {
      const rows = [...noted.values()].map(toRow).toSorted((a, b) => (String(a[1]) < String(b[1]) ? -1 : 1));
      noted = new Map();
      await patiently(() => db.transaction((tx) => tx.insertMany(intoUnits, rows)));
    }
  }

  /** While the database is away nothing else can go on either. */
  async function patiently(work: () => Promise<void>): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!db.isTransient(error) || attempt >= 30) throw error;
        log.warn("the progress of a backfill cannot be stored; trying again", {
          attempt,
          error: explain(error),
        });
        await sleep(Math.min(100 * 2 ** attempt, 5000));
      }
    }
  }

  const start = (): Promise<void> => {
    writing ??= write().finally(() => (writing = undefined));
    return writing;
  };
  const timer = setInterval(() => {
    if (noted.size > 0)
      start().catch((error) => log.error("the progress of a backfill is lost", { error: explain(error) }));
  }, flushEveryMs);

  const flush = async (): Promise<void> => {
    do await start();
    while (noted.size > 0);
  };
  return {
    note: (entry) => void noted.set(entry.unit.did, entry),
    flush,
    async close() {
      clearInterval(timer);
      await flush();
    },
  };
}
