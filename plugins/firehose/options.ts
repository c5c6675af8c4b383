import type { VerifyLevel } from "./intake.ts";
import type { ProofPace } from "./proofs.ts";
import type { SourceOption, StreamKind } from "./sources.ts";

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
