import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { Database } from "../../core/db/database.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import type { Archive } from "../firehose/archive/archive.ts";
import { troubleOf, type ArchiveTrouble } from "../firehose/archive/error.ts";
import { takeIn } from "./archive-intake.ts";
import { keepCounting } from "./counting.ts";
import { holdJob, letGoOfJob } from "./discover.ts";
import { toFailure } from "./failure.ts";
import type { Hub } from "./hub.ts";
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
  /** The first pause of an archive that fails; it doubles. */
  coolDownMs: number;
  jobId: string;
}

interface Session extends ArchiveRunParts {
  token: string;
  signal: AbortSignal;
}

const maxWaitMs = 120_000;

/**
 * How many sweeps in a row may end without a step ahead. One that is not let in will not be; one that is away has been
 * asked several times in each sweep.
 */
const maxFailures: Record<ArchiveTrouble, number> = {
  refused: 1,
  gone: 3,
  stuck: 3,
  corrupt: 3,
  unreachable: 20,
};
const maxUnknownFailures = 3;

/**
 * Reads the history of whole collections out of a Jetstream's archive, in one pass: by one process, under the lease of
 * the job, with its place stored after each stretch.
 */
export function startArchiveRun(parts: ArchiveRunParts): Run {
  const { app, jobId, leaseMs } = parts;
  const stopping = new AbortController();
  const { signal } = stopping;
  const session = { ...parts, token: randomUUID(), signal };

  async function run(): Promise<void> {
    while (!signal.aborted && !(await holdJob(session))) await sleep(1000, undefined, { signal });
    const beat = setInterval(() => void holdJob(session).catch(() => {}), leaseMs / 3);
    try {
      await sweepPatiently(session);
    } finally {
      clearInterval(beat);
      await letGoOfJob(session).catch(() => {}); // then the lease ends it
    }
  }

  void keepCounting(session);
  const over = run()
    .catch((error: unknown) => {
      if (!signal.aborted) app.log.error("a backfill stopped", { job: jobId, error: explain(error) });
    })
    .finally(() => stopping.abort(new Error("the backfill stops")));
  return {
    over,
    async stop() {
      stopping.abort(new Error("the backfill stops"));
      await over;
    },
  };
}

/** An archive that is away for a while ends nothing: the next sweep goes on where this one was. */
async function sweepPatiently(session: Session): Promise<void> {
  const { app, db, jobId, coolDownMs, signal } = session;
  let failures = 0;
  const advanced = (): void => void (failures = 0);
  for (;;) {
    try {
      return await sweep(session, advanced);
    } catch (error) {
      if (signal.aborted) return;
      const trouble = troubleOf(error);
      const isOurs = trouble === undefined && db.isTransient(error); // a database comes back
      if (!isOurs) failures += 1;
      if (!isOurs && failures >= (trouble ? maxFailures[trouble] : maxUnknownFailures))
        return settle(session, "failed", toFailure(error).message);
      app.log.warn("the archive cannot be read on; trying again", { job: jobId, error: explain(error) });
      await sleep(Math.min(coolDownMs * 2 ** failures, maxWaitMs), undefined, { signal });
    }
  }
}

async function sweep(session: Session, advanced: () => void): Promise<void> {
  const { archive, jobs, hub, jobId, signal } = session;
  const { collections, seq } = await place(session);
  if (collections.length === 0) return;
  if (await jobs.setStage(jobId, "resolving_and_fetching"))
    hub.emit(jobId, { type: "job_stage_changed", stage: "resolving_and_fetching" });
  // A reset of a repo takes away what it does not hold any more: those records have no deletion of their own.
  const kinds = ["commit", "account", "sync"] as const;
  for await (const stretch of archive.sweep({ afterSeq: seq, collections, kinds, signal })) {
    await takeIn(stretch, collections, session);
    if (stretch.throughSeq > seq) advanced();
    signal.throwIfAborted();
  }
  await settle(session, "done", null);
}

/** What is still wanted, and from where on. */
async function place({ db, jobId }: Session): Promise<{ collections: string[]; seq: number }> {
  const rows = await db.all<{ collection: string; cursor: string | null }>(
    "SELECT collection, cursor FROM happyview_backfill_discovery WHERE job_id = ? AND status = 'pending' ORDER BY collection",
    [jobId],
  );
  const seqs = rows.map(({ cursor }) => Number(cursor ?? 0));
  return { collections: rows.map(({ collection }) => collection), seq: Math.min(...seqs) };
}

async function settle(
  { db, jobId }: Session,
  status: "done" | "failed",
  error: string | null,
): Promise<void> {
  await db.run(
    "UPDATE happyview_backfill_discovery SET status = ?, error = ? WHERE job_id = ? AND status = 'pending'",
    [status, error, jobId],
  );
}
