import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { Database } from "../../core/db/database.ts";
import { isLeft } from "./discover.ts";
import { countersOf, type Hub } from "./hub.ts";
import type { Jobs } from "./jobs.ts";
import { toView, type JobRow } from "./job.ts";
import { plan, type Method, type Plan } from "./plan.ts";
import type { Run } from "./run.ts";
import type { Units } from "./units.ts";

export interface SupervisorParts {
  app: Pick<PluginApp, "lexicons" | "events" | "log">;
  db: Database;
  jobs: Jobs;
  units: Units;
  hub: Hub;
  configured: Method | undefined;
  hasArchive: boolean;
  pollMs: number;
  run(jobId: string, method: Method): Run;
}

/** Sees to it that this process works on every running job, and that requests to pause and cancel come true. */
export interface Supervisor {
  start(): void;
  /** Looks now instead of at the next poll. */
  nudge(): void;
  close(): Promise<void>;
}

export function createSupervisor(parts: SupervisorParts): Supervisor {
  const { app, db, jobs, units, hub } = parts;
  const runs = new Map<string, Run>();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let askedMeanwhile = false;
  let isStarted = false;
  let isClosed = false;

  async function look(): Promise<void> {
    for (const { id, status } of await jobs.active()) {
      if (isClosed) return;
      const run = runs.get(id);
      if (status === "running" && !run) await begin(id);
      else if (status !== "running") {
        await run?.stop();
        await rest(id);
      }
    }
  }

  async function begin(id: string): Promise<void> {
    const job = await jobs.get(id);
    if (job?.status !== "running") return;
    const method = await prepare(job);
    if (method === undefined) return;
    const run = parts.run(id, method);
    runs.set(id, run);
    void run.over.then(async () => {
      if (!isClosed)
        await rest(id).catch((error) => app.log.warn("a backfill waits", { error: explain(error) }));
      runs.delete(id);
      // Whatever is left is another process' or comes back when its lease ends.
    });
  }

  /** How to fetch; undefined for a job that is over before it began. */
  async function prepare(job: JobRow): Promise<Method | undefined> {
    const { collection } = job;
    const collections = collection === null ? app.lexicons.collections() : [collection];
    if (collection !== null && !app.lexicons.isTracked(collection)) {
      ended(await jobs.fail(job.id, `no record-type lexicon registered for collection '${collection}'`));
      return undefined;
    }
    const chosen = await planOf(job, collections);
    if (job.stage !== "pending") return chosen.method;
    const dids = job.dids === null ? undefined : (JSON.parse(job.dids) as string[]); // written by create()
    await db.transaction(async (tx) => {
      for (const name of collections) {
        if (dids) await units.add(tx, job.id, name, dids);
        await tx.run(
          `INSERT INTO happyview_backfill_discovery (job_id, collection, status) VALUES (?, ?, ?)
           ON CONFLICT (job_id, collection) DO NOTHING`,
          [job.id, name, dids ? "done" : "pending"],
        );
      }
    });
    if (dids?.length === 1) hub.emit(job.id, { type: "repo_discovered", did: dids[0] ?? "" });
    if (collections.length > 0) return chosen.method;
    ended(await jobs.complete(job.id, "no backfill-eligible collections"));
    return undefined;
  }

  /** What was begun goes on as it was planned, whatever the config says by now: its progress is of that method. */
  async function planOf(job: JobRow, collections: readonly string[]): Promise<Plan> {
    const { configured, hasArchive } = parts;
    const hasBegun = job.stage !== "pending";
    const known = hasBegun ? toView(job).plan : null;
    if (known && known.method !== "archive") return known;
    const isSwept = hasBegun && !(await isLeft(db, job.id)) && (await units.left(job.id)) > 0;
    const chosen = plan({ job, collections, configured, hasArchive, isSwept });
    await jobs.setPlan(job.id, chosen);
    return chosen;
  }

  async function rest(id: string): Promise<void> {
    ended(await jobs.rest(id));
  }

  function ended(job: JobRow | undefined): void {
    if (!job) return;
    const { id, status, error, collection } = job;
    hub.emit(id, countersOf(job));
    hub.emit(id, { type: "job_completed", status, error });
    if (status === "paused") return;
    const detail = {
      job_id: id,
      total_repos: job.processed_repos,
      total_records: job.total_records,
      failed_repos: job.failed_repos,
      ...(error === null ? {} : { error }),
    };
    const severity = status === "completed" && job.failed_repos === 0 && error === null ? "info" : "warn";
    app.events.emit({
      type: `backfill.${status}`,
      severity: status === "cancelled" ? "info" : severity,
      subject: collection,
      detail,
    });
  }

  function nudge(): void {
    if (!isStarted) return; // a command without background work, or a server that is not ready
    if (looking || isClosed) {
      askedMeanwhile = true;
      return;
    }
    looking = look()
      .catch((error) => app.log.warn("the backfill jobs cannot be read now", { error: explain(error) }))
      .finally(() => {
        looking = undefined;
        if (!askedMeanwhile) return;
        askedMeanwhile = false;
        nudge();
      });
  }

  return {
    start() {
      isStarted = true;
      timer = setInterval(nudge, parts.pollMs);
      nudge();
    },
    nudge,
    async close() {
      isClosed = true;
      clearInterval(timer);
      await looking;
      await Promise.all([...runs.values()].map((run) => run.stop()));
    },
  };
}
