import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import type { Backoff } from "./backoff.ts";
import { connectOnce, type Ended } from "./connection.ts";
import type { Status } from "./status.ts";

/** A stream to read: how to ask for it and what to do with its frames. */
export interface StreamSource {
  /** Under which its position is stored. */
  position: string;
  /** What the server filters by; another value means asking anew. */
  filter(): string;
  /** `signal` ends the session's own work, when its connection is over and what was in flight had its time. */
  open(cursor: string | undefined, signal: AbortSignal): Session;
}

/** One connection of a source. */
export interface Session {
  url: string;
  /** A promise means "send no more before it resolves"; what is thrown ends the connection. */
  receive(data: Buffer, binary: boolean): Promise<void> | void;
  /** Resolves when the pipeline has all that was received. */
  handedOver(): Promise<void>;
}

export interface StreamParts {
  source: StreamSource;
  pipeline: Pick<Pipeline, "position" | "flush">;
  status: Status;
  backoff: Backoff;
  connectTimeoutMs: number;
  idleTimeoutMs: number;
}

export interface Stream {
  /** The lexicons changed: connects anew if the filter is another one. */
  refresh(): void;
  close(): Promise<void>;
}

/** Uploads of a whole folder of lexicons come one by one; one connection serves them all. */
const coalesceMs = 100;

/** How long a reconnect waits for what is in flight; after that it is read once more, which is harmless. */
const flushMs = 3000;

/** Keeps a source connected until it is closed. */
export function startStream(parts: StreamParts): Stream {
  const { source, pipeline, status, backoff, connectTimeoutMs, idleTimeoutMs } = parts;
  const stopping = new AbortController();
  let connection = new AbortController();
  let filter = "";
  let refreshing: NodeJS.Timeout | undefined;

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      connection = new AbortController();
      const { signal } = connection;
      const ended = await attempt(signal);
      if (!signal.aborted) await pause(backoff.after(ended), stopping.signal);
    }
  }

  async function attempt(signal: AbortSignal): Promise<Ended> {
    const over = new AbortController();
    try {
      const cursor = await pipeline.position(source.position);
      filter = source.filter();
      const session = source.open(cursor, over.signal);
      const ended = await connectOnce({
        url: session.url,
        signal,
        connectTimeoutMs,
        idleTimeoutMs,
        onOpen: () => status.connected(shownUrl(session.url)),
        onFrame: (data, binary) => session.receive(data, binary),
      });
      if (!signal.aborted) status.disconnected(ended.reason);
      await settle(session);
      return ended;
    } catch (error) {
      status.disconnected(explain(error));
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

  const running = run();
  return {
    refresh() {
      refreshing ??= setTimeout(() => {
        refreshing = undefined;
        if (source.filter() !== filter) connection.abort();
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
