import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { Database } from "../../core/db/database.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import { allEnded } from "./abort.ts";
import { createAddresses } from "./addresses.ts";
import { attempt } from "./attempt.ts";
import { keepCounting } from "./counting.ts";
import { collectionsOf, discover } from "./discover.ts";
import type { Failure } from "./failure.ts";
import { createHosts } from "./hosts.ts";
import type { Hub } from "./hub.ts";
import type { Jobs } from "./jobs.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { createOccupancy } from "./occupancy.ts";
import type { Method } from "./plan.ts";
import { createQueue, type Queue } from "./queue.ts";
import type { Room } from "./room.ts";
import type { Concurrency } from "./settings.ts";
import type { Units } from "./units.ts";
import type { WorkParts } from "./work.ts";

export interface RunParts {
  app: Pick<PluginApp, "identity" | "config" | "clock" | "log">;
  /** The connections of backfills. */
  db: Database;
  pipeline: Pick<Pipeline, "ingestMany">;
  fetch: OutgoingFetch;
  room: Room;
  jobs: Jobs;
  units: Units;
  hub: Hub;
  concurrency: Concurrency;
  discoveryWindow: number;
  leaseMs: number;
  /** The first pause of a host that fails. */
  coolDownMs: number;
  /** Failures in a row after which a host counts as down. */
  downAfter: number;
  jobId: string;
  method: Method;
}

/** The work of this process on one job. */
export interface Run {
  /** Ends it: what is in hand goes back to where its last durable page left it. */
  stop(): Promise<void>;
  /** Resolves when nothing is left to do here, or it was stopped. Never rejects. */
  readonly over: Promise<void>;
}

/** What of the run is this process' alone. */
interface Session extends RunParts {
  token: string;
  ledger: Ledger;
  signal: AbortSignal;
}

export function startRun(parts: RunParts): Run {
  const { app, db, units, jobId } = parts;
  const { log } = app;
  const token = randomUUID();
  const stopping = new AbortController();
  const stop = (): void => stopping.abort(new Error("the backfill stops"));
  const { signal } = stopping;
  const session = { ...parts, token, signal, ledger: createLedger({ db, log, jobId, token }) };
  const collections: string[] = [];
  const queue = openQueue(session, collections);
  let isAsked = false;

  async function run(): Promise<void> {
    collections.push(...(await collectionsOf(db, jobId)));
    await units.release(jobId);
    let isDiscovering = true;
    const discovery = findRepos(session, queue.wake).finally(() => {
      isDiscovering = false;
      queue.wake();
    });
    const fetching = patiently(session, () => queue.work(() => !isDiscovering));
    // Both have to end before what they hold is given back: one that still claimed units would keep them from everybody.
    await allEnded([discovery, fetching], stop);
  }

  async function end(): Promise<void> {
    stop();
    await queue.emptied();
    await session.ledger.close();
    await units.release(jobId, token);
  }

  void keepCounting(session);
  const letGo = keepLeases(session);
  const over = run()
    .catch((error: unknown) => {
      if (!isAsked) log.error("a backfill stopped", { job: jobId, error: explain(error) });
    })
    .finally(letGo)
    .then(end)
    .catch((error: unknown) => log.error("a backfill did not end cleanly", { error: explain(error) }));

  return {
    over,
    async stop() {
      isAsked = true;
      stop();
      queue.wake();
      await over;
    },
  };
}

/** The queue of a run; `collections` may be filled in before it works. */
function openQueue(session: Session, collections: readonly string[]): Queue {
  const { app, units, ledger, hub, jobId, concurrency } = session;
  const { resolution, pds, didsPerPds, maxAttempts } = concurrency;
  const { log } = app;
  const { now } = app.clock;
  const hosts = createHosts({ ...session, total: pds * didsPerPds, perHost: didsPerPds, now });
  const occupancy = createOccupancy(hosts);
  const addresses = createAddresses({
    ...session,
    resolution,
    resolved: (did, endpoint) => hub.emit(jobId, { type: "repo_resolved", did, pds_endpoint: endpoint }),
  });
  const work: WorkParts = {
    ...session,
    collections,
    identity: app.identity,
    hosts,
    advanced: (unit) => ledger.note({ unit, status: "running" }),
  };
  const failHost = (host: string, failure: Failure): Promise<void> =>
    units.failHost(jobId, host, failure, addresses.forget);
  const parts = { ...session, log, now, hosts, occupancy, addresses, work, maxAttempts, failHost };
  const queue = createQueue({
    ...parts,
    windowSize: 3 * pds * didsPerPds + resolution,
    flush: ledger.flush,
    handle: (unit) => attempt(unit, { ...parts, waitFor: queue.waitFor }),
  });
  return queue;
}

async function findRepos(session: Session, found: () => void): Promise<void> {
  const { app, jobs, hub, jobId } = session;
  const reach = async (stage: Parameters<Jobs["setStage"]>[1]): Promise<void> => {
    if (await jobs.setStage(jobId, stage)) hub.emit(jobId, { type: "job_stage_changed", stage });
  };
  await reach("discovering_repos");
  await discover({
    ...session,
    log: app.log,
    relayUrl: app.config.network.relayUrl,
    retryMs: session.coolDownMs,
    window: session.discoveryWindow,
    found,
  });
  await reach("resolving_and_fetching");
}

/** A database that is away for a while ends nothing. */
async function patiently(
  { db, app, jobId, signal }: Pick<Session, "db" | "app" | "jobId" | "signal">,
  task: () => Promise<void>,
): Promise<void> {
  for (;;) {
    try {
      return await task();
    } catch (error) {
      if (signal.aborted) return;
      if (!db.isTransient(error)) throw error;
      app.log.warn("the backfill waits for the database", { job: jobId, error: explain(error) });
      await sleep(1000, undefined, { signal });
    }
  }
}

/** Prolongs what this process has in hand; returns the way to end that. */
function keepLeases({ app, units, jobId, token, leaseMs }: Session): () => void {
  const beat = setInterval(() => {
    units
      .extend(token)
      .catch((error) =>
        app.log.warn("the leases of a backfill could not be prolonged", { error: explain(error) }),
      );
    // What processes hold that are gone comes back to the queue.
    units.release(jobId).catch(() => {});
  }, leaseMs / 3);
  return () => clearInterval(beat);
}
