import { explain } from "../../core/errors.ts";
import { definePlugin } from "../../core/index.ts";
import { backfill } from "../backfill/index.ts";
import { firehoseAdmin } from "./admin.ts";
import { createBackoff } from "./backoff.ts";
import { createChoice } from "./choice.ts";
import { createIntake, type VerifyLevel } from "./intake.ts";
import { jetstreamSource } from "./jetstream.ts";
import { jetstreamV2Source } from "./jetstream-v2.ts";
import { migrations } from "./migrations.ts";
import { createPlaces } from "./places.ts";
import { createProofLedger } from "./proof-ledger.ts";
import { createProofs, type ProofPace } from "./proofs.ts";
import { relaySource } from "./relay.ts";
import { replaceProven } from "./replace.ts";
import { createResync } from "./resync.ts";
import {
  checkVerification,
  resolveSources,
  streamKinds,
  type ResolvedSource,
  type SourceOption,
  type StreamKind,
} from "./sources.ts";
import { createStatus } from "./status.ts";
import { startStream, type Stream, type StreamSource } from "./stream.ts";
import { loadTap, startTap } from "./tap.ts";
import { createUnverifiedReports } from "./unverified.ts";
import { showVerification } from "./verification.ts";

export type { SourceOption } from "./sources.ts";
export type { VerifyLevel } from "./intake.ts";

export interface FirehoseOptions {
  /**
   * A Jetstream filters for us; one with an archive ("jetstream-v2") misses nothing after an outage of any length, and
   * tells of repos that were reset; a relay lets us check each commit's signature ourselves; a Tap of yours checks,
   * filters and brings history, too (it needs `npm install @atproto/tap`).
   * @default "jetstream"
   */
  source?: StreamKind | "tap";
  /** @default `network.jetstreamUrl` or `network.relayUrl` of the config; "http://localhost:2480" for a Tap */
  url?: string;
  /**
   * Several sources instead of one, in order of preference: the next one is read while those before it fail.
   * @example [{ kind: "jetstream", url: "wss://jetstream1.us-east.bsky.network" }, { kind: "relay" }]
   */
  sources?: readonly SourceOption[];
  /** A source that has failed for so long is left for the next one. @default 30_000 */
  failoverAfterMs?: number;
  /** The same after so many connections in a row that brought nothing. @default 10 */
  failoverAfterAttempts?: number;
  /** A preferred source is read again when it has been well for so long. @default 300_000 */
  failbackAfterMs?: number;
  /** Between two looks at the sources that are not read. @default 60_000 */
  probeEveryMs?: number;
  /** How much is read twice after a change of the source, since their clocks differ. @default 60_000 */
  overlapMs?: number;
  /**
   * What is checked of records that come without signatures (a relay's are always checked): nothing; that each has the
   * CID it claims; or besides, for a share of them, that the account's own host proves them with a signature.
   * @default "cid"
   */
  verify?: VerifyLevel;
  /** The share that is proven with `verify: "sampled"`, in [0, 1]. @default 0.001 */
  sampleShare?: number;
  /** How proofs are asked for. */
  samplePace?: Partial<ProofPace>;
  /** For the archive of a hosted Jetstream that asks for a key. @default the environment variable JETSTREAM_API_KEY */
  archiveKey?: string;
  /** Of a Tap that has one. @default the environment variable TAP_ADMIN_PASSWORD */
  adminPassword?: string;
  /** Connects anew when nothing at all arrives for so long, answers to pings included. @default 60_000 */
  idleTimeoutMs?: number;
  /** @default 15_000 */
  connectTimeoutMs?: number;
  /** The longest wait between two attempts. @default 60_000 */
  maxBackoffMs?: number;
  /** `/health/ready` says no when the stream is away for longer. @default 60_000 */
  unhealthyAfterMs?: number;
  /** Unix milliseconds. @default the app's clock */
  now?: () => number;
  /** In [0, 1); spreads reconnects, and chooses samples. @default Math.random */
  random?: () => number;
}

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
    const { events, metrics, log, lexicons, identity, db } = app;
    const { pipeline } = app.records;
    const isTap = options.source === "tap";
    if (isTap) await loadTap();
    const resolved = resolveSources(options, app.config.network);
    const kinds: string[] = isTap ? ["tap"] : resolved.map(({ kind }) => kind);
    checkVerification(verify, sampleShare, kinds);

    const status = createStatus({ source: kinds[0] ?? "", events, metrics, log, now, unhealthyAfterMs });
    const unverified = createUnverifiedReports(events);
    const resync = createResync({
      db,
      start: async (dids) => apis.backfill?.start({ dids, method: "getRepo" }),
      log,
      now,
    });
    const ledger = createProofLedger(db, (error) =>
      log.warn("counts of proofs cannot be stored now", { error: explain(error) }),
    );
    const proofs = createProofs({
      share: verify === "sampled" ? sampleShare : 0,
      identity,
      fetch: app.fetch,
      events,
      count(collection, result) {
        status.proof(collection, result);
        ledger.add(collection, result);
      },
      replace: replaceProven({ db, pipeline, log }),
      now,
      random,
      ...(options.samplePace ? { pace: options.samplePace } : {}),
    });
    const intake = createIntake({
      pipeline,
      verify,
      isTracked: lexicons.isTracked,
      sample: verify === "sampled" ? proofs.sample : undefined,
      status,
      overlapMs,
    });
    if (verify === "sampled") showVerification(metrics, ledger);
    firehoseAdmin(app.admin, { verify, sampleShare, ledger, waiting: proofs.waiting });

    function openSource({ kind, url: base }: ResolvedSource): StreamSource {
      const shared = { base, pipeline: intake, status, now };
      if (kind === "relay")
        return relaySource({
          ...shared,
          isTracked: lexicons.isTracked,
          isIndexed: async (did) =>
            (await db.get("SELECT uri FROM happyview_records WHERE did = ? LIMIT 1", [did])) !== undefined,
          resync: apis.backfill ? resync.request : undefined,
          identity,
          events,
          unverified,
          random,
        });
      const jetstream = { ...shared, collections: lexicons.collections };
      if (kind !== "jetstream-v2") return jetstreamSource(jetstream);
      const archiveKey = options.archiveKey ?? app.config.env["JETSTREAM_API_KEY"];
      return jetstreamV2Source({
        ...jetstream,
        archiveKey,
        flush: pipeline.flush,
        events,
        log,
        random,
        overlapMs,
      });
    }

    const sources = resolved.map(openSource);
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
    app.onClose(() => ledger.close());
    app.onClose(() => proofs.close());
    app.onClose(() => resync.close());
    app.onClose(() => unverified.close());
    // By then the pipeline has written what it had: the next leader begins behind it.
    app.onClose(() => candidacy?.close());
    app.hook("app:ready", () => {
      status.leads(false);
      candidacy = app.leader.while("firehose", lead);
    });
    app.hook("lexicon:changed", () => stream?.refresh());
  },
});
