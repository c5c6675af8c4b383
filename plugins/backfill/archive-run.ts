import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { CommitEvent, PluginApp } from "../../core/index.ts";
import type { BulkInsert, Database } from "../../core/db/database.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import type { Archive, Stretch } from "../firehose/archive/archive.ts";
import { holdJob, letGoOfJob } from "./discover.ts";
import { countersOf, type Hub } from "./hub.ts";
import type { Jobs } from "./jobs.ts";
import type { Run } from "./run.ts";

export interface ArchiveRunParts {
  app: Pick<PluginApp, "log">;
  db: Database;
  pipeline: Pick<Pipeline, "ingestMany">;
  archive: Archive;
  jobs: Jobs;
  hub: Hub;
  leaseMs: number;
  jobId: string;
}

const retryMs = 5000;

/** Accounts of an archive have no host to ask: what they brought is all that is told of them. */
const intoUnits: BulkInsert = {
  table: "happyview_backfill_repos",
  columns: { job_id: "text", did: "text", status: "text", collections: "text", records_fetched: "int" },
  onConflict: `(job_id, did) DO UPDATE SET
    records_fetched = happyview_backfill_repos.records_fetched + excluded.records_fetched`,
};

/**
 * Reads the history of whole collections out of a Jetstream's archive, in one pass: by one process, under the lease of
 * the job, with its place stored after each stretch.
 */
export function startArchiveRun(parts: ArchiveRunParts): Run {
  const { app, db, pipeline, archive, jobs, hub, leaseMs, jobId } = parts;
  const token = randomUUID();
  const stopping = new AbortController();
  const { signal } = stopping;
  const lease = { db, jobId, token, leaseMs };

  async function place(): Promise<{ collections: string[]; seq: number }> {
    const rows = await db.all<{ collection: string; cursor: string | null }>(
      "SELECT collection, cursor FROM happyview_backfill_discovery WHERE job_id = ? AND status = 'pending' ORDER BY collection",
      [jobId],
    );
    const seqs = rows.map(({ cursor }) => Number(cursor ?? 0));
    return { collections: rows.map(({ collection }) => collection), seq: Math.min(...seqs) };
  }

  async function take(stretch: Stretch, collections: readonly string[]): Promise<void> {
    const events = stretch.events.map(({ event }) =>
      event.kind === "commit" ? { ...event, isSnapshot: true } : event,
    );
    const commits = events.filter((event) => event.kind === "commit");
    await pipeline.ingestMany(events);
    await db.transaction(async (tx) => {
      await tx.insertMany(intoUnits, countByRepo(commits, jobId, collections));
      await tx.run(
        "UPDATE happyview_backfill_discovery SET cursor = ? WHERE job_id = ? AND status = 'pending'",
        [String(stretch.throughSeq), jobId],
      );
    });
    const row = await jobs.refresh(jobId);
    if (row) hub.emit(jobId, countersOf(row));
  }

  async function sweep(): Promise<void> {
    const { collections, seq } = await place();
    if (collections.length === 0) return;
    await jobs.setStage(jobId, "resolving_and_fetching");
    hub.emit(jobId, { type: "job_stage_changed", stage: "resolving_and_fetching" });
    // A reset of a repo takes away what it does not hold any more: those records have no deletion of their own.
    const kinds = ["commit", "account", "sync"] as const;
    for await (const stretch of archive.sweep({ afterSeq: seq, collections, kinds, signal })) {
      await take(stretch, collections);
      signal.throwIfAborted();
    }
    await db.run(
      "UPDATE happyview_backfill_discovery SET status = 'done' WHERE job_id = ? AND status = 'pending'",
      [jobId],
    );
  }

  async function run(): Promise<void> {
    while (!signal.aborted && !(await holdJob(lease))) await sleep(1000, undefined, { signal });
    const beat = setInterval(() => void holdJob(lease).catch(() => {}), leaseMs / 3);
    try {
      await patiently(sweep);
    } finally {
      clearInterval(beat);
      await letGoOfJob(lease).catch(() => {}); // then the lease ends it
    }
  }

  /** An archive that is away for a while ends nothing: the next sweep goes on where this one was. */
  async function patiently(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) return;
        app.log.warn("the archive cannot be read on; trying again", { job: jobId, error: explain(error) });
        await sleep(retryMs, undefined, { signal });
      }
    }
  }

  const over = run().catch((error: unknown) => {
    if (!signal.aborted) app.log.error("a backfill stopped", { job: jobId, error: explain(error) });
  });
  return {
    over,
    async stop() {
      stopping.abort(new Error("the backfill stops"));
      await over;
    },
  };
}

function countByRepo(
  commits: readonly CommitEvent[],
  jobId: string,
  collections: readonly string[],
): (string | number)[][] {
  const counts = new Map<string, number>();
  for (const { did, action } of commits)
    counts.set(did, (counts.get(did) ?? 0) + (action === "delete" ? 0 : 1));
  return [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([did, n]) => [jobId, did, "completed", collections.join(" "), n]);
}
