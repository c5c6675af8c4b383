import type { Registry } from "prom-client";
import type { Events } from "../../core/events.ts";
import type { CheckResult } from "../../core/health.ts";
import type { Logger } from "../../core/index.ts";
import { createMetrics } from "./metrics.ts";

export interface StatusParts {
  /** The kind of source that is read first. */
  source: string;
  events: Events;
  metrics: Registry;
  log: Logger;
  /** Unix milliseconds. */
  now: () => number;
  unhealthyAfterMs: number;
}

/** Events between two places of the stream that we never got: times for a Jetstream, seqs for a relay. */
export interface Gap {
  from: string;
  to: string;
  reason: string;
}

/** What is known of the stream, and the only place that tells it: event log, metrics, `/health/ready`. */
export interface Status {
  /** This process reads the stream from now on, or another one does. */
  leads(isLeader: boolean): void;
  /** What the next connection goes to: a kind, and `<kind>:<host>`. */
  reading(kind: string, name: string): void;
  /** Another source is read from now on. */
  switched(name: string): void;
  /** `address` without credentials. */
  connected(address: string): void;
  disconnected(reason: string): void;
  /** An event, with its time in Unix microseconds where it has one. */
  received(kind: string, timeUs: number | undefined): void;
  bytes(count: number): void;
  malformed(reason: string): void;
  dropped(reason: string): void;
  /** A record was found to be what its source claims, by its CID or a signature. */
  verified(collection: string, by: "cid" | "signature"): void;
  /** What became of a sample. */
  proof(collection: string, result: string): void;
  gap(gap: Gap): void;
  /** The socket is not read until the result is called. */
  held(): () => void;
  /** Commits cannot be checked now, so that the stream stands still. */
  waiting(reason: string): void;
  resumed(): void;
  check(): CheckResult;
}

const malformedLogMs = 60_000;

export function createStatus(parts: StatusParts): Status {
  const { events, log, now, unhealthyAfterMs } = parts;
  let kind = parts.source;
  let name: string | undefined;
  let isLeader = true;
  let address: string | undefined;
  let downSince: number | undefined = now();
  let downReason: string | undefined;
  let lastEventUs: number | undefined;
  let lagSeconds = 0;
  let lastGap: (Gap & { noticedAt: string }) | undefined;
  const held = createStopwatch(now);
  const waited = createStopwatch(now);
  let waitingReason = "";
  let malformedSinceLog = 0;
  let malformedLoggedAt = -Infinity;
  const metrics = createMetrics(parts.metrics, {
    connected: () => (downSince === undefined ? 1 : 0),
    lag: () => lagSeconds,
    lastEvent: () => (lastEventUs === undefined ? undefined : lastEventUs / 1e6),
    source: () => (downSince === undefined ? name : undefined),
    held: held.seconds,
    waited: waited.seconds,
  });

  return {
    leads(is) {
      isLeader = is;
      downSince = now();
      downReason = undefined;
      waited.stop();
    },
    reading(newKind, newName) {
      kind = newKind;
      name = newName;
    },
    switched(to) {
      metrics.failovers.inc();
      log.warn("another source is read now", { source: to });
      events.emit({
        type: "firehose.failover",
        severity: "warn",
        detail: { from: name, to, reason: downReason },
      });
    },
    connected(at) {
      if (address !== undefined) metrics.reconnects.inc();
      address = at;
      downSince = undefined;
      downReason = undefined;
      log.info(`reading the ${kind}`, { url: at });
      events.emit({ type: `${kind}.connected`, detail: { url: at } });
    },
    disconnected(reason) {
      // One entry for an outage: the attempts in between are only logged.
      const isNews = downSince === undefined || downReason === undefined;
      downSince ??= now();
      downReason = reason;
      log[isNews ? "warn" : "debug"](`the ${kind} is not connected; trying again`, { reason });
      if (isNews) events.emit({ type: `${kind}.disconnected`, severity: "warn", detail: { reason } });
    },
    received(eventKind, timeUs) {
      metrics.received(eventKind);
      if (timeUs === undefined) return;
      lastEventUs = timeUs;
      lagSeconds = Math.max(0, now() / 1000 - timeUs / 1e6);
    },
    bytes: metrics.bytes,
    malformed(reason) {
      metrics.dropped("malformed");
      malformedSinceLog += 1;
      if (now() - malformedLoggedAt < malformedLogMs) return;
      log.warn("frames that cannot be read were skipped", { frames: malformedSinceLog, last: reason });
      malformedLoggedAt = now();
      malformedSinceLog = 0;
    },
    dropped: metrics.dropped,
    verified: metrics.verified,
    proof: metrics.proof,
    gap(gap) {
      metrics.gaps.inc();
      lastGap = { ...gap, noticedAt: new Date(now()).toISOString() };
      log.warn("the stream has a gap; backfill the collections that need its events", { ...gap });
      events.emit({ type: "firehose.gap", severity: "warn", detail: { ...gap } });
    },
    held() {
      held.start();
      return held.stop;
    },
    waiting(reason) {
      waitingReason = reason;
      if (waited.since() !== undefined) return;
      waited.start();
      log.warn("commits cannot be checked now; the stream waits", { reason });
    },
    resumed() {
      const since = waited.since();
      if (since === undefined) return;
      log.info("commits can be checked again", { afterSeconds: Math.round((now() - since) / 1000) });
      waited.stop();
    },
    check() {
      if (!isLeader) return { ok: true, detail: { role: "follower", connected: false } };
      const waitingSince = waited.since();
      const downMs = downSince === undefined ? 0 : now() - downSince;
      const waitingMs = waitingSince === undefined ? 0 : now() - waitingSince;
      return {
        ok: Math.max(downMs, waitingMs) <= unhealthyAfterMs,
        detail: {
          role: "leader",
          source: kind,
          connected: downSince === undefined,
          ...(address === undefined ? {} : { url: address }),
          ...(downSince === undefined ? {} : { disconnectedSeconds: Math.round(downMs / 1000) }),
          ...(downReason === undefined ? {} : { reason: downReason }),
          ...(waitingSince === undefined
            ? {}
            : { waitingSeconds: Math.round(waitingMs / 1000), waitingFor: waitingReason }),
          ...(lastEventUs === undefined
            ? {}
            : {
                lastEvent: new Date(lastEventUs / 1000).toISOString(),
                lagSeconds: Math.round(lagSeconds * 10) / 10,
              }),
          ...(lastGap === undefined ? {} : { gap: lastGap }),
        },
      };
    },
  };
}

interface Stopwatch {
  start(): void;
  stop(): void;
  /** When it was started; undefined while it stands. */
  since(): number | undefined;
  /** In all, a time that has not ended included. */
  seconds(): number;
}

function createStopwatch(now: () => number): Stopwatch {
  let since: number | undefined;
  let total = 0;
  const running = (): number => (since === undefined ? 0 : Math.max(0, now() - since));
  return {
    start: () => void (since ??= now()),
    stop() {
      total += running();
      since = undefined;
    },
    since: () => since,
    seconds: () => (total + running()) / 1000,
  };
}
