import { Counter, Gauge, type Registry } from "prom-client";
import type { Events } from "../../core/events.ts";
import type { CheckResult } from "../../core/health.ts";
import type { Logger } from "../../core/log.ts";

export type Outcome = "stored" | "ended" | "stale" | "dropped" | "refused";

export interface Status {
  /** A stream of this process opened; `url` without secrets. */
  connected(did: string, url: string): void;
  /** It ended, or could not be opened, and not because we wanted it to. */
  disconnected(did: string, end: { reason: string; lastSeq: number | null }): void;
  /** It no longer has the messages after our cursor. */
  gap(did: string): void;
  /** It is not read any more. */
  stopped(did: string): void;
  counted(outcome: Outcome, count: number): void;
  /** A label, or a whole frame, that cannot be used. */
  refused(did: string, reason: string, uri?: string): void;
  byUri(outcome: "asked" | "failed" | "dropped", count: number): void;
  check(): CheckResult;
  /** Announces what is not announced yet. */
  close(): void;
}

export interface StatusParts {
  events: Events;
  metrics: Registry;
  log: Logger;
  /** Between two entries about refused labels of one labeler, in milliseconds. @default 60_000 */
  everyMs?: number;
}

interface Refusals {
  /** Since the last entry. */
  count: number;
  reason: string;
  uri: string | null;
}

/** What operators are told: events, metrics, `/health/ready`. A labeler that is away does not make the server unready. */
export function createStatus({ events, metrics, log, everyMs = 60_000 }: StatusParts): Status {
  /** Whether the stream is open, by labeler. */
  const streams = new Map<string, boolean>();
  let refusals = new Map<string, Refusals>();
  const counter = (name: string, help: string) =>
    new Counter({
      name: `happyview_labelers_${name}`,
      help,
      labelNames: ["outcome"] as const,
      registers: [metrics],
    });
  const labels = counter("labels_total", "Labels received, by what became of them");
  const uris = counter("by_uri_total", "Records whose labels were asked for by URI, by what became of it");
  void new Gauge({
    name: "happyview_labelers_connected",
    help: "Streams of labelers that are open",
    registers: [metrics],
    collect() {
      this.set([...streams.values()].filter(Boolean).length);
    },
  });

  function announce(did: string, { count, reason, uri }: Refusals): void {
    const detail = { count, reason, uri };
    log.warn("labels of a labeler were refused", { labeler: did, ...detail });
    events.emit({ type: "labeler.labels_refused", severity: "warn", subject: did, detail });
  }

  /** Labelers that were quiet for a while begin anew; the others have their count announced. */
  function turn(): void {
    const ended = refusals;
    refusals = new Map();
    for (const [did, refused] of ended) {
      if (refused.count === 0) continue;
      refusals.set(did, { ...refused, count: 0 });
      announce(did, refused);
    }
  }

  const timer = setInterval(turn, everyMs);
  timer.unref();
  return {
    connected(did, url) {
      streams.set(did, true);
      log.info("reading a labeler", { labeler: did, url });
      events.emit({ type: "labeler.connected", subject: did, detail: { did } });
    },
    disconnected(did, { reason, lastSeq }) {
      // One entry for an outage, however often it is tried.
      if (streams.get(did) === false) return;
      streams.set(did, false);
      log.warn("a labeler is not connected; trying again", { labeler: did, reason });
      const detail = { did, last_seq: lastSeq, reason };
      events.emit({ type: "labeler.disconnected", severity: "warn", subject: did, detail });
    },
    gap(did) {
      const reason = "the labeler no longer has the messages after our cursor";
      log.warn("labels of a labeler were missed", { labeler: did, reason });
      events.emit({ type: "labeler.gap", severity: "warn", subject: did, detail: { reason } });
    },
    stopped: (did) => void streams.delete(did),
    counted: (outcome, count) => labels.inc({ outcome }, count),
    refused(did, reason, uri) {
      labels.inc({ outcome: "refused" });
      const refused = { reason, uri: uri?.slice(0, 300) ?? null };
      const before = refusals.get(did);
      refusals.set(did, { ...refused, count: before ? before.count + 1 : 0 });
      if (!before) announce(did, { ...refused, count: 1 });
    },
    byUri: (outcome, count) => uris.inc({ outcome }, count),
    check() {
      const away = [...streams].filter(([, isOpen]) => !isOpen).map(([did]) => did);
      return { ok: true, detail: { read: streams.size, ...(away.length > 0 ? { away } : {}) } };
    },
    close() {
      clearInterval(timer);
      turn();
    },
  };
}
