import { Counter, Gauge, type Registry } from "prom-client";

/** What the gauges show when they are asked. */
export interface MetricsSource {
  connected: () => number;
  lag: () => number;
  /** Unix seconds; undefined before the first event. */
  lastEvent: () => number | undefined;
  /** `<kind>:<host>` of what is read now. */
  source: () => string | undefined;
  /** Seconds so far. */
  held: () => number;
  waited: () => number;
}

export interface Metrics {
  received(kind: string): void;
  bytes(count: number): void;
  dropped(reason: string): void;
  verified(collection: string, by: string): void;
  proof(collection: string, result: string): void;
  gaps: Counter;
  reconnects: Counter;
  failovers: Counter;
}

/** `happyview_firehose_*`. */
export function createMetrics(registry: Registry, read: MetricsSource): Metrics {
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: `happyview_firehose_${name}`, help, registers });
  const counter = (name: string, help: string): Counter => new Counter(named(name, help));
  const labelled = (name: string, help: string, ...labelNames: string[]): Counting =>
    counting(new Counter({ ...named(name, help), labelNames }));
  const shown = (name: string, help: string, value: () => number | undefined): void =>
    void new Gauge({
      ...named(name, help),
      collect() {
        const now = value();
        if (now !== undefined) this.set(now);
      },
    });
  /** A counter whose value is known elsewhere. */
  const summed = (name: string, help: string, value: () => number): void => {
    let told = 0;
    const total = new Counter({
      ...named(name, help),
      registers: [],
      collect() {
        const now = Math.max(told, value()); // the clock may have been set back
        this.inc(now - told);
        told = now;
      },
    });
    registry.registerMetric(total);
  };

  shown("connected", "1 while the stream is connected", read.connected);
  shown("lag_seconds", "Age of the last event when it arrived", read.lag);
  shown("last_event_timestamp_seconds", "Time of the last event", read.lastEvent);
  summed(
    "backpressure_seconds_total",
    "Time that the socket was not read because too much was on its way",
    read.held,
  );
  summed("waiting_seconds_total", "Time that commits could not be checked", read.waited);
  const sources = new Gauge({
    ...named("source", "1 for the source that is read"),
    registers: [],
    labelNames: ["source"],
    collect() {
      this.reset();
      const source = read.source();
      if (source !== undefined) this.set({ source }, 1);
    },
  });
  registry.registerMetric(sources);
  const received = labelled("events_total", "Events received, by kind", "kind");
  let bytes = 0;
  summed("received_bytes_total", "Bytes of the frames received", () => bytes);
  const dropped = labelled("dropped_total", "What was received and cannot be used, by reason", "reason");
  const malformed = counter("malformed_total", "Frames that cannot be read");
  const verified = labelled(
    "verified_total",
    "Records checked, by what they were checked against",
    "collection",
    "by",
  );
  return {
    received,
    bytes: (count) => void (bytes += count),
    dropped(reason) {
      if (reason === "malformed") malformed.inc();
      dropped(reason);
    },
    verified,
    proof: labelled("proofs_total", "Samples, by what became of them", "collection", "result"),
    gaps: counter("gaps_total", "Gaps noticed in the stream"),
    reconnects: counter("reconnects_total", "Connections after the first one"),
    failovers: counter("failovers_total", "Changes to another source"),
  };
}

type Counting = (...values: string[]) => void;

/** Finding a counter by its labels costs more than handling most events does: each is found once. */
function counting(counter: Counter): Counting {
  const bound = new Map<string, { inc(): void }>();
  return (...values) => {
    const key = values.join("\n");
    let one = bound.get(key);
    if (!one) bound.set(key, (one = counter.labels(...values)));
    one.inc();
  };
}
