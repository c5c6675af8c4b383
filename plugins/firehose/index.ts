import { definePlugin } from "../../core/index.ts";
import { backfill } from "../backfill/index.ts";
import { createBackoff } from "./backoff.ts";
import { createChoice } from "./choice.ts";
import { createIntake } from "./intake.ts";
import { migrations } from "./migrations.ts";
import { openSources } from "./open-sources.ts";
import type { FirehoseOptions } from "./options.ts";
import { createPlaces } from "./places.ts";
import { createResync } from "./resync.ts";
import { startSampling } from "./sampling.ts";
import { checkVerification, resolveSources, streamKinds } from "./sources.ts";
import { createStatus } from "./status.ts";
import { startStream, type Stream } from "./stream.ts";
import { loadTap, startTap } from "./tap.ts";

export type { FirehoseOptions } from "./options.ts";
export type { SourceOption } from "./sources.ts";
export type { VerifyLevel } from "./intake.ts";

/**
 * Live records from the network. Of several processes on one database one reads; another takes over when it dies.
 * @example plugins: [firehose()] // or firehose({ source: "relay" })
 */
export const firehose = definePlugin({
  name: "firehose",
  wants: { backfill },
  migrations,
  async setup(app, options: FirehoseOptions, apis) {
    const { now = app.clock.now, random, verify = "cid", sampleShare = 0.001, overlapMs = 60_000 } = options;
    const { unhealthyAfterMs = 60_000, idleTimeoutMs = 60_000, connectTimeoutMs = 15_000 } = options;
    const { events, metrics, log, lexicons, db } = app;
    const { pipeline } = app.records;
    const isTap = options.source === "tap";
    if (isTap) await loadTap();
    const resolved = resolveSources(options, app.config.network);
    const kinds: string[] = isTap ? ["tap"] : resolved.map(({ kind }) => kind);
    checkVerification(verify, sampleShare, kinds);

    const status = createStatus({ source: kinds[0] ?? "", events, metrics, log, now, unhealthyAfterMs });
    const resync = createResync({
      db,
      start: async (dids) => apis.backfill?.start({ dids, method: "getRepo" }),
      log,
      now,
    });
    app.onClose(() => resync.close());
    const sample = startSampling(app, {
      verify,
      sampleShare,
      pace: options.samplePace,
      status,
      now,
      random,
    });
    const { isTracked } = lexicons;
    const intake = createIntake({ pipeline, verify, isTracked, sample, status, overlapMs });
    const sources = openSources(app, resolved, {
      intake,
      status,
      resync: apis.backfill ? resync.request : undefined,
      archiveKey: options.archiveKey ?? app.config.env["JETSTREAM_API_KEY"],
      overlapMs,
      now,
      random,
    });
    const backoff = () => createBackoff({ maxMs: options.maxBackoffMs, random });
    const choice = createChoice({
      count: sources.length,
      failoverAfterMs: options.failoverAfterMs ?? 30_000,
      failoverAfterAttempts: options.failoverAfterAttempts ?? 10,
      failbackAfterMs: options.failbackAfterMs ?? 300_000,
      now,
    });
    const places = createPlaces({ db, kinds: streamKinds, overlapMs, now });

    function start(epoch: number): Stream {
      if (isTap)
        return startTap({
          url: options.url ?? "http://localhost:2480",
          adminPassword: options.adminPassword ?? app.config.env["TAP_ADMIN_PASSWORD"],
          db,
          pipeline,
          intake,
          status,
          backoff: backoff(),
          connectTimeoutMs,
        });
      return startStream({
        sources,
        choice,
        places,
        intake,
        pipeline,
        status,
        backoff,
        epoch,
        idleTimeoutMs,
        connectTimeoutMs,
        probeEveryMs: options.probeEveryMs ?? 60_000,
      });
    }

    /** Reads as long as this process leads; where it no longer does, the socket ends in the same moment. */
    async function lead(signal: AbortSignal, epoch: number): Promise<void> {
      intake.lead(epoch);
      status.leads(true);
      resync.leads(apis.backfill !== undefined);
      const reading = start(epoch);
      stream = reading;
      await new Promise((ended) => {
        const end = (): void => ended(reading.close());
        if (signal.aborted) end();
        else signal.addEventListener("abort", end, { once: true });
      });
      stream = undefined;
      status.leads(false);
      resync.leads(false);
    }

    let stream: Stream | undefined;
    let candidacy: ReturnType<typeof app.leader.while> | undefined;
    app.health.check("stream", () => (candidacy ? status.check() : { ok: true, detail: { started: false } }));
    // By then the pipeline has written what it had: the next leader begins behind it.
    app.onClose(() => candidacy?.close());
    app.hook("app:ready", () => {
      status.leads(false);
      candidacy = app.leader.while("firehose", lead);
    });
    app.hook("lexicon:changed", () => stream?.refresh());
  },
});
