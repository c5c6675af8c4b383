import { Counter, Gauge, type Registry } from "prom-client";
import type { Events } from "../../core/events.ts";
import type { CheckResult } from "../../core/health.ts";
import type { Logger } from "../../core/index.ts";

export interface StatusParts {
  source: "jetstream" | "relay";
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
  /** `address` without credentials. */
  connected(address: string): void;
  disconnected(reason: string): void;
  /** An event, with its time in Unix microseconds where it has one. */
  received(kind: string, timeUs: number | undefined): void;
  malformed(reason: string): void;
  gap(gap: Gap): void;
  /** Commits cannot be checked now, so that the stream stands still. */
  waiting(reason: string): void;
  resumed(): void;
  check(): CheckResult;
}

const malformedLogMs = 60_000;

export function createStatus(parts: StatusParts): Status {
  const { source, events, log, now, unhealthyAfterMs } = parts;
  let address: string | undefined;
  let downSince: number | undefined = now();
  let downReason: string | undefined;
  let lastEventUs: number | undefined;
  let lagSeconds = 0;
  let lastGap: (Gap & { noticedAt: string }) | undefined;
  let waitingSince: number | undefined;
  let waitingReason = "";
  let malformedSinceLog = 0;
  let malformedLoggedAt = -Infinity;
  const metrics = createMetrics(parts.metrics, {
    connected: () => (downSince === undefined ? 1 : 0),
    lag: () => lagSeconds,
  });

  return {
    connected(at) {
      if (address !== undefined) metrics.reconnects.inc();
      address = at;
      downSince = undefined;
      downReason = undefined;
      log.info(`reading the ${source}`, { url: at });
      events.emit({ type: `${source}.connected`, detail: { url: at } });
    },
    disconnected(reason) {
      // One entry for an outage: the attempts in between are only logged.
      const isNews = downSince === undefined || downReason === undefined;
      downSince ??= now();
      downReason = reason;
      log[isNews ? "warn" : "debug"](`the ${source} is not connected; trying again`, { reason });
      if (isNews) events.emit({ type: `${source}.disconnected`, severity: "warn", detail: { reason } });
    },
    received(kind, timeUs) {
      metrics.count(kind);
      if (timeUs === undefined) return;
      lastEventUs = timeUs;
      lagSeconds = Math.max(0, now() / 1000 - timeUs / 1e6);
    },
    malformed(reason) {
      metrics.malformed.inc();
      malformedSinceLog += 1;
      if (now() - malformedLoggedAt < malformedLogMs) return;
      log.warn("frames that cannot be read were skipped", { frames: malformedSinceLog, last: reason });
      malformedLoggedAt = now();
      malformedSinceLog = 0;
    },
    gap(gap) {
      metrics.gaps.inc();
      lastGap = { ...gap, noticedAt: new Date(now()).toISOString() };
      log.warn("the stream has a gap; backfill the collections that need its events", { ...gap });
      events.emit({ type: "firehose.gap", severity: "warn", detail: { ...gap } });
    },
    waiting(reason) {
      waitingReason = reason;
      if (waitingSince !== undefined) return;
      waitingSince = now();
      log.warn("commits cannot be checked now; the stream waits", { reason });
    },
    resumed() {
      if (waitingSince === undefined) return;
      log.info("commits can be checked again", { afterSeconds: Math.round((now() - waitingSince) / 1000) });
      waitingSince = undefined;
    },
    check() {
      const downMs = downSince === undefined ? 0 : now() - downSince;
      const waitingMs = waitingSince === undefined ? 0 : now() - waitingSince;
      return {
        ok: Math.max(downMs, waitingMs) <= unhealthyAfterMs,
        detail: {
          source,
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

interface Metrics {
  count(kind: string): void;
  malformed: Counter;
  gaps: Counter;
  reconnects: Counter;
}

function createMetrics(registry: Registry, read: { connected: () => number; lag: () => number }): Metrics {
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `happyview_firehose_${name}`, help, registers: [registry] });
  const gauge = (name: string, help: string, value: () => number): Gauge =>
    new Gauge({
      name: `happyview_firehose_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  gauge("connected", "1 while the stream is connected", read.connected);
  gauge("lag_seconds", "Age of the last event when it arrived", read.lag);
  const received = new Counter({
    name: "happyview_firehose_events_total",
    help: "Events received, by kind",
    labelNames: ["kind"] as const,
    registers: [registry],
  });
  const byKind = new Map<string, { inc(): void }>();
  return {
    // A label per call costs more than handling most events does.
    count(kind) {
      let bound = byKind.get(kind);
      if (!bound) byKind.set(kind, (bound = received.labels(kind)));
      bound.inc();
    },
    malformed: counter("malformed_total", "Frames that cannot be read"),
    gaps: counter("gaps_total", "Gaps noticed in the stream"),
    reconnects: counter("reconnects_total", "Connections after the first one"),
  };
}
