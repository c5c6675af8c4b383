import { isValidDid } from "@atproto/syntax";
import type { SourceEvent } from "../../core/index.ts";
import type { BulkInsert, Database } from "../../core/db/database.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import type { Stretch } from "../firehose/archive/archive.ts";
import { unlessAborted } from "./abort.ts";
import { failure } from "./failure.ts";

/** Accounts of an archive have no host to ask: what they brought is all that is told of them. */
const intoUnits: BulkInsert = {
  table: "happyview_backfill_repos",
  columns: { job_id: "text", did: "text", status: "text", collections: "text", records_fetched: "int" },
  onConflict: `(job_id, did) DO UPDATE SET
    records_fetched = happyview_backfill_repos.records_fetched + excluded.records_fetched`,
};

/** Those of which something could not be taken in: another attempt asks their hosts. */
const intoFailed: BulkInsert = {
  table: "happyview_backfill_repos",
  columns: {
    job_id: "text",
    did: "text",
    status: "text",
    collections: "text",
    error_kind: "text",
    error: "text",
  },
  onConflict: `(job_id, did) DO UPDATE SET
    status = excluded.status, error_kind = excluded.error_kind, error = excluded.error`,
};

export interface ArchiveIntakeParts {
  db: Database;
  pipeline: Pick<Pipeline, "ingestMany">;
  jobId: string;
  signal: AbortSignal;
}

/** Takes in a stretch of an archive: resolves when it is durable, with what is known of its accounts and the place. */
export async function takeIn(
  stretch: Stretch,
  collections: readonly string[],
  { db, pipeline, jobId, signal }: ArchiveIntakeParts,
): Promise<void> {
  const repos = byRepo(stretch);
  const failed = new Map<string, string>();
  for (const did of stretch.unreadable) failed.set(did, "the archive has an event of it that cannot be read");
  // By repo, so that it is known whose events are not acceptable.
  const intakes = [...repos].map(async ([did, events]) => {
    const { rejected } = await pipeline.ingestMany(events);
    if (rejected > 0) failed.set(did, `the archive has ${rejected} events of it that are not acceptable`);
  });
  await unlessAborted(signal, Promise.all(intakes));
  const asked = collections.join(" ");
  const units = inOrder(repos).map(([did, events]) => [jobId, did, "completed", asked, countOf(events)]);
  const troubled = inOrder(failed).map(([did, reason]) => {
    const { kind, message } = failure("invalid_response", reason);
    return [jobId, did, "failed", asked, kind, message];
  });
  await db.transaction(async (tx) => {
    await tx.insertMany(intoUnits, units);
    await tx.insertMany(intoFailed, troubled);
    await tx.run(
      "UPDATE happyview_backfill_discovery SET cursor = ? WHERE job_id = ? AND status = 'pending'",
      [String(stretch.throughSeq), jobId],
    );
  });
}

function byRepo({ events }: Stretch): Map<string, SourceEvent[]> {
  const repos = new Map<string, SourceEvent[]>();
  for (const { event } of events) {
    const known = repos.get(event.did) ?? [];
    repos.set(event.did, known);
    known.push(event.kind === "commit" ? { ...event, isSnapshot: true } : event);
  }
  return repos;
}

/** In one order everywhere, so that two transactions on Postgres cannot wait for each other; nobody has an invalid DID. */
function inOrder<T>(repos: ReadonlyMap<string, T>): [string, T][] {
  return [...repos].filter(([did]) => isValidDid(did)).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function countOf(events: readonly SourceEvent[]): number {
  return events.filter((event) => event.kind === "commit" && event.action !== "delete").length;
}
