import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { Database } from "../../core/db/database.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import { allEnded } from "./abort.ts";
import { createAddresses } from "./addresses.ts";
import { collectionsOf, discover } from "./discover.ts";
import { createHosts } from "./hosts.ts";
import { countersOf, type Hub } from "./hub.ts";
import type { Jobs } from "./jobs.ts";
import { createLedger } from "./ledger.ts";
import { outcomeOf } from "./outcome.ts";
import type { Method } from "./plan.ts";
import type { Room } from "./room.ts";
import type { Concurrency } from "./settings.ts";
import type { Unit } from "./unit.ts";
import type { Units } from "./units.ts";
import { workOn } from "./work.ts";

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

const idleMs = 250;
/** At least; and so seldom that counting takes no more than a twentieth of the time. */
const countEveryMs = 1000;
const countShare = 1 / 20;
const claimSize = 100;
const lookEveryMs = 500;

export function startRun(parts: RunParts): Run {
  const { app, db, jobs, units, hub, jobId, concurrency, leaseMs, coolDownMs, downAfter } = parts;
  const { resolution, pds, didsPerPds, maxAttempts } = concurrency;
  const { now } = app.clock;
  const { log } = app;
  const token = randomUUID();
  const stopping = new AbortController();
  const { signal } = stopping;
  const ledger = createLedger({ db, log, jobId, token });
  const hosts = createHosts({ total: pds * didsPerPds, perHost: didsPerPds, coolDownMs, downAfter, now });
  const addresses = createAddresses({
    app,
    resolution,
    coolDownMs,
    signal,
    resolved: (did, endpoint) => hub.emit(jobId, { type: "repo_resolved", did, pds_endpoint: endpoint }),
  });
  const windowSize = 3 * pds * didsPerPds + resolution;
  const inHand = new Map<string, Promise<void>>();
  const perHost = new Map<string, number>();
  /** Hosts that units wait for in the queue. */
  let waitingHosts = new Set<string>();
  let isDiscovering = true;
  let isAsked = false;
  let wake = (): void => {};

  async function handle(unit: Unit): Promise<void> {
    const { did } = unit;
    try {
      const host = (unit.pdsEndpoint ??= await addresses.lookUp(did));
      if (!hosts.down(host) && hosts.room(host, perHost.get(host) ?? 0) === 0) {
        ledger.note({ unit, status: "pending" });
        waitingHosts.add(host);
        return;
      }
      await occupying(host, () => workOn(Object.assign(unit, { pdsEndpoint: host }), parts.method, work));
      ledger.note({ unit, status: "completed" });
      hub.emit(jobId, { type: "repo_fetched", did, pds_endpoint: host, records_fetched: unit.records });
    } catch (error) {
      await putBack(unit, error);
    }
  }

  async function occupying(host: string, task: () => Promise<void>): Promise<void> {
    perHost.set(host, (perHost.get(host) ?? 0) + 1);
    try {
      await task();
    } finally {
      const left = (perHost.get(host) ?? 1) - 1;
      if (left > 0) perHost.set(host, left);
      else perHost.delete(host);
    }
  }

  const work = {
    db,
    collections: [] as string[],
    identity: app.identity,
    pipeline: parts.pipeline,
    fetch: parts.fetch,
    room: parts.room,
    hosts,
    signal,
    advanced: (unit: Unit) => ledger.note({ unit, status: "running" }),
  };

  async function putBack(unit: Unit, error: unknown): Promise<void> {
    const { attempts } = unit;
    const isDatabaseAway = db.isTransient(error) && !(error instanceof TypeError);
    const { status, downHost, ...rest } = outcomeOf(error, {
      attempts,
      maxAttempts,
      nowMs: now(),
      retryMs: 2 * coolDownMs,
      isStopping: signal.aborted,
      isDatabaseAway,
    });
    unit.attempts = rest.attempts;
    const { failure: reason } = rest;
    if (
      status === "failed" &&
      reason &&
      (await addresses.hasMoved(unit, reason)) &&
      unit.attempts < maxAttempts
    )
      return ledger.note({ unit, status: "pending" });
    ledger.note({ unit, status, ...rest });
    if (rest.failure === undefined) return;
    const { kind, message } = rest.failure;
    log.debug("a repo could not be fetched", {
      job: jobId,
      did: unit.did,
      status,
      kind,
      error: explain(error),
    });
    const willRetry = status === "retrying";
    hub.emit(jobId, { type: "repo_failed", did: unit.did, kind, message, will_retry: willRetry });
    if (downHost === undefined || unit.pdsEndpoint !== downHost) return;
    log.warn("a host is down; its repos have failed", { job: jobId, host: downHost, reason: message });
    await units.failHost(jobId, downHost, rest.failure);
  }

  /** Takes more units in hand while there is room; true when it got some. */
  async function fill(): Promise<boolean> {
    let taken = 0;
    for (const host of waitingHosts) {
      const reason = hosts.down(host);
      if (reason) {
        waitingHosts.delete(host);
        await units.failHost(jobId, host, reason);
      }
      const room = Math.min(hosts.room(host, perHost.get(host) ?? 0), windowSize - inHand.size);
      if (room <= 0) continue;
      const claimed = await units.claim(jobId, token, host, room);
      if (claimed.length < room) waitingHosts.delete(host);
      taken += begin(claimed);
    }
    const room = Math.min(windowSize - inHand.size, claimSize);
    if (room > 0) taken += begin(await units.claim(jobId, token, null, room));
    return taken > 0;
  }

  function begin(claimed: readonly Unit[]): number {
    for (const unit of claimed) {
      const task = handle(unit)
        .catch((error) => log.error("a repo was left in mid-work", { did: unit.did, error: explain(error) }))
        .finally(() => {
          inHand.delete(unit.did);
          wake();
        });
      inHand.set(unit.did, task);
    }
    return claimed.length;
  }

  async function untilSomethingChanges(): Promise<void> {
    const woken = new Promise<void>((go) => (wake = go));
    await Promise.race([woken, sleep(idleMs, undefined, { signal }).catch(() => {})]);
  }

  async function findRepos(): Promise<void> {
    await reach("discovering_repos");
    await discover({
      db,
      fetch: parts.fetch,
      units,
      log,
      relayUrl: app.config.network.relayUrl,
      jobId,
      token,
      leaseMs,
      retryMs: coolDownMs,
      window: parts.discoveryWindow,
      signal,
      found: () => wake(),
    });
    await reach("resolving_and_fetching");
  }

  async function reach(stage: Parameters<Jobs["setStage"]>[1]): Promise<void> {
    if (await jobs.setStage(jobId, stage)) hub.emit(jobId, { type: "job_stage_changed", stage });
  }

  async function fetchRepos(): Promise<void> {
    let lookedAt = 0;
    while (!signal.aborted) {
      if (inHand.size < windowSize / 2 && now() - lookedAt > lookEveryMs) {
        lookedAt = now();
        waitingHosts = new Set([...waitingHosts, ...(await units.waitingHosts(jobId))]);
      }
      const got = await fill();
      if (signal.aborted) return;
      if (!got && inHand.size === 0 && !isDiscovering) {
        await ledger.flush();
        if ((await units.left(jobId)) === 0) return;
      }
      if (!got) await untilSomethingChanges();
    }
  }

  async function run(): Promise<void> {
    work.collections = await collectionsOf(db, jobId);
    await units.release(jobId);
    const discovery = findRepos().finally(() => {
      isDiscovering = false;
      wake();
    });
    // Both have to end before what they hold is given back: one that still claimed units would keep them from everybody.
    await allEnded([discovery, patiently(fetchRepos)], () => stopping.abort(new Error("the backfill stops")));
  }

  /** A database that is away for a while ends nothing. */
  async function patiently(task: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await task();
      } catch (error) {
        if (signal.aborted) return;
        if (!db.isTransient(error)) throw error;
        log.warn("the backfill waits for the database", { job: jobId, error: explain(error) });
        await sleep(1000, undefined, { signal });
      }
    }
  }

  async function keepCounting(): Promise<void> {
    for (let waitMs = countEveryMs; ;) {
      await sleep(waitMs, undefined, { signal });
      const begun = performance.now();
      const row = await jobs.refresh(jobId).catch(() => undefined);
      if (row) hub.emit(jobId, countersOf(row));
      waitMs = Math.max(countEveryMs, (performance.now() - begun) / countShare);
    }
  }
  keepCounting().catch(() => {}); // the signal ends it
  const beat = setInterval(() => {
    units
      .extend(token)
      .catch((error) =>
        log.warn("the leases of a backfill could not be prolonged", { error: explain(error) }),
      );
    // What processes hold that are gone comes back to the queue.
    units.release(jobId).catch(() => {});
  }, leaseMs / 3);

  const over = run()
    .catch((error: unknown) => {
      if (!isAsked) log.error("a backfill stopped", { job: jobId, error: explain(error) });
    })
    .then(async () => {
      clearInterval(beat);
      stopping.abort(new Error("the backfill stops"));
      await Promise.all(inHand.values());
      await ledger.close();
      await units.release(jobId, token);
    })
    .catch((error: unknown) => log.error("a backfill did not end cleanly", { error: explain(error) }));

  return {
    over,
    async stop() {
      isAsked = true;
      stopping.abort(new Error("the backfill stops"));
      wake();
      await over;
    },
  };
}
