import { definePlugin } from "../../core/index.ts";
import { createBackoff } from "./backoff.ts";
import { jetstreamSource } from "./jetstream.ts";
import { relaySource } from "./relay.ts";
import { createStatus } from "./status.ts";
import { startStream, type Stream } from "./stream.ts";
import { createUnverifiedReports } from "./unverified.ts";

export interface FirehoseOptions {
  /** A Jetstream filters for us; a relay lets us check each commit's signature ourselves. @default "jetstream" */
  source?: "jetstream" | "relay";
  /** @default `network.jetstreamUrl` or `network.relayUrl` of the config */
  url?: string;
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
  /** In [0, 1); spreads reconnects. @default Math.random */
  random?: () => number;
}

/**
 * Live records from the network.
 * @example plugins: [firehose()] // or firehose({ source: "relay" })
 */
export const firehose = definePlugin({
  name: "firehose",
  setup(app, options: FirehoseOptions) {
    const { source: kind = "jetstream", now = app.clock.now } = options;
    const { pipeline } = app.records;
    const { events, metrics, log, lexicons, identity } = app;
    const { unhealthyAfterMs = 60_000, idleTimeoutMs = 60_000, connectTimeoutMs = 15_000 } = options;
    const status = createStatus({ source: kind, events, metrics, log, now, unhealthyAfterMs });
    const unverified = createUnverifiedReports(events);
    app.onClose(() => unverified.close());
    const source =
      kind === "relay"
        ? relaySource({
            base: options.url ?? app.config.network.relayUrl,
            isTracked: lexicons.isTracked,
            isIndexed: async (did) =>
              (await app.db.get("SELECT uri FROM happyview_records WHERE did = ? LIMIT 1", [did])) !==
              undefined,
            identity,
            events,
            unverified,
            pipeline,
            status,
            now,
            random: options.random,
          })
        : jetstreamSource({
            base: options.url ?? app.config.network.jetstreamUrl,
            collections: lexicons.collections,
            pipeline,
            status,
            now,
          });
    const backoff = createBackoff({ maxMs: options.maxBackoffMs, random: options.random });

    let stream: Stream | undefined;
    app.health.check("stream", () => (stream ? status.check() : { ok: true, detail: { started: false } }));
    app.hook("app:ready", () => {
      stream = startStream({ source, pipeline, status, backoff, idleTimeoutMs, connectTimeoutMs });
    });
    app.hook("lexicon:changed", () => stream?.refresh());
    app.onClose(() => stream?.close());
  },
});
