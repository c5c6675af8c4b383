import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import type { Backoff } from "./backoff.ts";
import type { Choice } from "./choice.ts";
import { connectOnce, type Ended } from "./connection.ts";
import type { Intake } from "./intake.ts";
import type { Placed, Places } from "./places.ts";
import { probe, type Probe } from "./probe.ts";
import type { Status } from "./status.ts";

/** A stream to read: how to ask for it and what to do with its frames. */
export interface StreamSource extends Placed {
  /** What the server filters by; another value means asking anew. */
  filter(): string;
  /**
   * `signal` ends the session's own work, when its connection is over and what was in flight had its time. `coveredUs`
   * is the time up to which nothing is missing, whatever source it came from; what lies between it and the first event
   * is a gap.
   */
  open(cursor: string | undefined, signal: AbortSignal, coveredUs: number | undefined): Session;
  /**
   * Comes before each connection, and before its cursor is looked up: fetches what the stream no longer has. What it
   * throws counts as a connection that failed; `signal` ends it.
   */
  prepare?(signal: AbortSignal): Promise<void>;
  /** How to find out whether it could be read; without one it is simply tried. */
  probe?: () => Probe;
}

/** One connection of a source. */
export interface Session {
  url: string;
  /** A promise means "send no more before it resolves"; what is thrown ends the connection. */
  receive(data: Buffer, binary: boolean): Promise<void> | void;
  /** Resolves when the pipeline has all that was received. */
  handedOver(): Promise<void>;
  /** Why the connection is over, with the words of a server that refused it. */
  ended?(reason: string): void;
}

export interface StreamParts {
  /** The first is preferred; another one is read while those before it fail. */
  sources: readonly StreamSource[];
  choice: Choice;
  places: Places;
  intake: Pick<Intake, "mark">;
  pipeline: Pick<Pipeline, "flush">;
  status: Status;
  /** One for each source. */
  backoff: () => Backoff;
  /** Of the lead under which this is read. */
  epoch: number;
  connectTimeoutMs: number;
  idleTimeoutMs: number;
  /** Between two probes of the sources that are not read. */
  probeEveryMs: number;
}

export interface Stream {
  /** The lexicons changed: connects anew if the filter is another one. */
  refresh(): void;
  close(): Promise<void>;
}

/** Uploads of a whole folder of lexicons come one by one; one connection serves them all. */
const coalesceMs = 100;

/** A network of any size says something in that time. */
const listenMs = 5000;

/** How long a reconnect waits for what is in flight; after that it is read once more, which is harmless. */
const flushMs = 3000;

/** Keeps one of the sources connected until it is closed. */
export function startStream(parts: StreamParts): Stream {
  const { sources, choice, places, intake, pipeline, status, epoch, connectTimeoutMs, idleTimeoutMs } = parts;
  const backoffs = sources.map(parts.backoff);
  const stopping = new AbortController();
  let connection = new AbortController();
  let filter = "";
  let refreshing: NodeJS.Timeout | undefined;

  const current = (): StreamSource => sources[choice.current] as StreamSource; // the choice is among them
  const kindOf = ({ position }: StreamSource): string => position.slice(0, position.indexOf(":"));

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      connection = new AbortController();
      const { signal } = connection;
      const { current: index } = choice;
      const ended = await attempt(sources[index] as StreamSource, signal);
      if (signal.aborted) continue;
      choice.ended(ended);
      const waitMs = backoffs[index]?.after(ended) ?? 0;
      if (!switched(choice.failOver())) await pause(Math.min(waitMs, choice.patienceMs()), stopping.signal);
      if (choice.current === index) switched(choice.failOver());
    }
  }

  function switched(isOther: boolean): boolean {
    if (isOther) status.switched(current().position);
    return isOther;
  }

  async function attempt(source: StreamSource, signal: AbortSignal): Promise<Ended> {
    const over = new AbortController();
    status.reading(kindOf(source), source.position);
    try {
      filter = source.filter();
      await source.prepare?.(signal);
      const { cursor, coveredUs } = await places.startOf(source, epoch);
      const session = source.open(cursor, over.signal, coveredUs);
      const ended = await connectOnce({
        url: session.url,
        signal,
        connectTimeoutMs,
        idleTimeoutMs,
        onOpen: () => status.connected(shownUrl(session.url)),
        onHold: status.held,
        onFrame(data, binary) {
          status.bytes(data.length);
          return session.receive(data, binary);
        },
      });
      if (!signal.aborted) status.disconnected(ended.reason);
      session.ended?.(ended.reason);
      await settle(session);
      return ended;
    } catch (error) {
      if (!signal.aborted) status.disconnected(explain(error));
      return { reason: explain(error), openMs: 0, delivered: false };
    } finally {
      over.abort();
    }
  }

  /** The next connection begins at the stored position, so what is in flight should become durable first. */
  async function settle(session: Session): Promise<void> {
    const flushed = session.handedOver().then(() => pipeline.flush());
    const limit = new AbortController();
    const signal = AbortSignal.any([limit.signal, stopping.signal]);
    await Promise.race([flushed, pause(flushMs, signal)]);
    limit.abort();
    flushed.catch(() => undefined); // a database that is away fails the next attempt, which tells
  }

  /** Looks after the sources that are not read: whether they are well, and where the tip of a relay is. */
  async function watch(): Promise<void> {
    const { signal } = stopping;
    while (!signal.aborted) {
      for (const [index, source] of sources.entries()) {
        if (index === choice.current || signal.aborted) continue;
        const { isWell, place } = source.probe
          ? await probe(source.probe(), {
              connectTimeoutMs,
              signal,
              listenMs: Math.min(listenMs, parts.probeEveryMs),
            })
          : { isWell: true };
        if (signal.aborted || index === choice.current) continue;
        choice.probed(index, isWell);
        if (place) intake.mark({ source: source.position, ...place });
      }
      if (switched(choice.failBack())) connection.abort();
      await pause(parts.probeEveryMs, signal);
    }
  }

  const running = Promise.all([run(), sources.length > 1 ? watch() : undefined]);
  return {
    refresh() {
      refreshing ??= setTimeout(() => {
        refreshing = undefined;
        if (current().filter() !== filter) connection.abort();
      }, coalesceMs);
    },
    async close() {
      clearTimeout(refreshing);
      stopping.abort();
      connection.abort();
      await running;
    },
  };
}

/** A sleep that ends early, without an error, when the signal says so. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
