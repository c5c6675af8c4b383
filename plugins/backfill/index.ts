import { connect } from "../../core/db/database.ts";
import { isLocal } from "../../core/config/resolve.ts";
import { createOutgoingFetch } from "../../core/http/outgoing.ts";
import { definePlugin } from "../../core/index.ts";
import { createArchive } from "../firehose/archive/archive.ts";
import { backfillAdmin } from "./admin.ts";
import { startArchiveRun } from "./archive-run.ts";
import { backfillCommand } from "./command.ts";
import { createDetails } from "./details.ts";
import { createHub } from "./hub.ts";
import { createJobs } from "./jobs.ts";
import type { JobRequest, JobRow } from "./job.ts";
import { migrations } from "./migrations.ts";
import type { Method } from "./plan.ts";
import { databaseInfo, poolSize } from "./pool.ts";
import { keepRetention } from "./retention.ts";
import { defineSettings } from "./settings.ts";
import { createRoom } from "./room.ts";
import { startRun } from "./run.ts";
import { createSupervisor } from "./supervisor.ts";
import { createUnits } from "./units.ts";
import { resolveHandle } from "../../core/identity/handle.ts";

export interface BackfillOptions {
  /**
   * A Jetstream with an archive: jobs that cover whole collections are read out of it. The key of a hosted one is in the
   * environment variable JETSTREAM_API_KEY unless it is given here. @default none
   */
  archive?: { url: string; key?: string };
  /** How repos are fetched. @default chosen for each job, which says why */
  method?: Method;
  /** A process that is silent for this long is taken for dead, and others go on with what it had in hand. @default 15_000 */
  leaseMs?: number;
  /** How often this process looks for jobs that others created, paused or cancelled. @default 500 */
  pollMs?: number;
  /** How long one page may take. @default 30_000 */
  pageTimeoutMs?: number;
  /** How long a host that fails is left alone for the first time; it doubles with each failure in a row. @default 500 */
  coolDownMs?: number;
  /** Failures in a row after which a host counts as down for the job, and its repos as failed. @default 6 */
  downAfter?: number;
}

/** What other plugins get. */
export interface BackfillApi {
  /** Starts a job; it runs in every process of this database. */
  start(request: JobRequest, actor?: string | null): Promise<JobRow>;
}

/** An export that is larger is not read to its end; its repo is listed. */
const maxExportBytes = 64 * 1024 * 1024;
/** Of all pages and exports that are being read. */
const maxBytesAtOnce = 256 * 1024 * 1024;

/**
 * History: who has records of a collection, where they live, and what they wrote (sync-and-xrpc §3). Jobs survive
 * restarts, pause within a second, are shared by all processes of a database, and say exactly what failed.
 */
export const backfill = definePlugin({
  name: "backfill",
  migrations,
  remoteCommands: { backfill: backfillCommand },
  async setup(app, options: BackfillOptions): Promise<BackfillApi> {
    const {
      leaseMs = 15_000,
      pollMs = 500,
      pageTimeoutMs = 30_000,
      coolDownMs = 500,
      downAfter = 6,
    } = options;
    const settings = defineSettings(app);
    const size = poolSize(app, settings.concurrency());
    // Its own connections, so that live events and requests keep theirs; SQLite has one writer, whoever asks.
    const isShared = app.db.dialect === "sqlite";
    const db = isShared ? app.db : await connect({ ...app.config.database, maxConnections: size });
    if (!isShared) app.onClose(() => db.close());
    const pipeline = app.records.openPipeline({ db });
    const fetch = createOutgoingFetch({
      allowPrivate: isLocal(app.config),
      timeoutMs: pageTimeoutMs,
      maxResponseBytes: maxExportBytes,
    });
    const archive =
      options.archive && createArchive({ base: options.archive.url, key: archiveKey(app, options) });
    const room = createRoom(maxBytesAtOnce);
    const jobs = createJobs(app);
    const units = createUnits(db, leaseMs);
    const hub = createHub();
    const supervisor = createSupervisor({
      app,
      db,
      jobs,
      units,
      hub,
      configured: options.method,
      hasArchive: archive !== undefined,
      pollMs,
      run: (jobId, method) =>
        method === "archive" && archive
          ? startArchiveRun({ app, db, pipeline, archive, jobs, hub, leaseMs, coolDownMs, jobId })
          : startRun({
              app,
              db,
              pipeline,
              fetch,
              room,
              jobs,
              units,
              hub,
              concurrency: settings.concurrency(),
              discoveryWindow: settings.discoveryWindow,
              leaseMs,
              coolDownMs,
              downAfter,
              jobId,
              method,
            }),
    });

    const start = async (request: JobRequest, actor: string | null = null): Promise<JobRow> => {
      const job = await jobs.create(request);
      const subject = job.collection;
      app.events.emit({ type: "backfill.started", actor, subject, detail: { job_id: job.id } });
      supervisor.nudge();
      return job;
    };
    // The documentation's promise: a lexicon that is added with `backfill: true` brings its history.
    app.hook("lexicon:changed", async ({ lexicon, history }) => {
      if (history) history.jobId = (await start({ collection: lexicon.id }, history.actor)).id;
    });
    backfillAdmin({
      app,
      jobs,
      details: createDetails(app.db),
      hub,
      start,
      changed: supervisor.nudge,
      retryFailed: units.retryFailed,
      resolveHandle: (handle) => resolveHandle(handle, app),
    });
    databaseInfo(app, size, settings);
    app.hook("app:ready", () => {
      // Registered last and so closed first: units are given back while all that they use still works.
      app.onClose(() => supervisor.close());
      app.onClose(keepRetention(app, settings.retentionDays));
      supervisor.start();
    });
    return { start };
  },
});

function archiveKey(
  { config }: { config: { env: Readonly<Record<string, string | undefined>> } },
  { archive }: BackfillOptions,
): string | undefined {
  return archive?.key ?? config.env["JETSTREAM_API_KEY"];
}
