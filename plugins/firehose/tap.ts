import { setTimeout as sleep } from "node:timers/promises";
import type * as tap from "@atproto/tap";
import type { TapChannel, TapEvent } from "@atproto/tap";
import type { Database } from "../../core/db/database.ts";
import { explain } from "../../core/errors.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import { HappyViewError, type SourceEvent } from "../../core/index.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import type { Backoff } from "./backoff.ts";
import type { Intake } from "./intake.ts";
import { toRecord } from "./record.ts";
import type { Status } from "./status.ts";
import type { Stream } from "./stream.ts";
import { createTapIdentities } from "./tap-identity.ts";
import { createTurns } from "./turns.ts";

export interface TapParts {
  url: string;
  adminPassword: string | undefined;
  db: Pick<Database, "get">;
  pipeline: Pick<Pipeline, "ingestMany">;
  intake: Pick<Intake, "check">;
  status: Status;
  backoff: Backoff;
  connectTimeoutMs: number;
}

/** Events that may be on their way at once; Tap waits for our acks before it sends more. */
const maxPending = 2000;

/**
 * A Tap of the operator's: it reads the relay, checks signatures, brings history and keeps the position, so all that is
 * left is to make its events durable and to say so. An event is acknowledged only then; Tap repeats the others.
 */
export function startTap(parts: TapParts): Stream {
  const { status, pipeline, intake, connectTimeoutMs } = parts;
  const stopping = new AbortController();
  const identities = createTapIdentities(parts);
  const turns = createTurns(maxPending);
  const shown = shownUrl(parts.url);
  let channel: TapChannel | undefined;
  /** When the present connection was opened. */
  let openedAt: number | undefined;

  async function run(): Promise<void> {
    status.reading("tap", `tap:${new URL(parts.url).host}`);
    while (!stopping.signal.aborted) {
      openedAt = undefined;
      let delivered = false;
      const reason = await readChannel(() => (delivered = true)).catch(explain);
      const openMs = openedAt === undefined ? 0 : performance.now() - openedAt;
      if (stopping.signal.aborted) break;
      status.disconnected(reason);
      await sleep(parts.backoff.after({ openMs, delivered }), undefined, { signal: stopping.signal }).catch(
        () => undefined,
      );
    }
    await turns.done();
  }

  /** Resolves with the reason when the channel is over for good: it connects anew by itself after most failures. */
  async function readChannel(onDelivery: () => void): Promise<string> {
    const { Tap } = await loadTap();
    const waiting: Buffer[] = [];
    const opened = new Tap(
      parts.url,
      parts.adminPassword === undefined ? {} : { adminPassword: parts.adminPassword },
    );
    const current = opened.channel(
      {
        onEvent(event) {
          waiting.shift();
          onDelivery();
          return take(event);
        },
        // Told for each message that cannot be read. Without an ack it would come again and again, and hold up its repo.
        onError(error) {
          const message = waiting.shift();
          status.malformed(explain(error));
          const id = message && idOf(message);
          if (id !== undefined) acknowledge(id);
        },
      },
      {
        handshakeTimeout: connectTimeoutMs,
        maxReconnectSeconds: 30,
        onReconnectError: (error) => status.disconnected(explain(error)),
        finishRequest(request, socket) {
          waiting.length = 0;
          socket.on("open", () => {
            openedAt = performance.now();
            status.connected(shown);
          });
          socket.on("message", (data: Buffer) => {
            status.bytes(data.length);
            waiting.push(data);
          });
          request.end();
        },
      },
    );
    channel = current;
    const stop = (): void => void current.destroy();
    stopping.signal.addEventListener("abort", stop);
    try {
      if (stopping.signal.aborted) return "stopped";
      await current.start();
      return "closed by the server";
    } finally {
      stopping.signal.removeEventListener("abort", stop);
    }
  }

  /** A promise means "give no more before it resolves". */
  function take(event: TapEvent): Promise<void> | void {
    status.received(event.type === "record" ? "commit" : event.type, undefined);
    const wait = turns.take(event.did, event.type === "identity", async () => {
      const found = event.type === "identity" ? await identities.eventsOf(event) : [toCommit(event)];
      for (const one of found) intake.check(one);
      await pipeline.ingestMany(found);
      acknowledge(event.id);
    });
    if (!wait) return;
    const release = status.held();
    return wait.then(release);
  }

  /** Not awaited: an ack that cannot be sent now is sent after the next connect, by the channel of that time. */
  function acknowledge(id: number): void {
    void channel?.ackEvent(id).catch(() => undefined);
  }

  const running = run();
  return {
    refresh() {}, // a Tap filters by its own settings
    async close() {
      stopping.abort();
      await running;
    },
  };
}

type RecordEvent = Extract<TapEvent, { type: "record" }>;

function toCommit(event: RecordEvent): SourceEvent {
  const { action, did, collection, rkey, rev, record, cid = "" } = event;
  return {
    kind: "commit",
    action,
    did,
    collection,
    rkey,
    rev,
    cid,
    record: action !== "delete" && record !== undefined ? toRecord(record) : undefined,
  };
}

function idOf(message: Buffer): number | undefined {
  try {
    const { id } = JSON.parse(message.toString("utf8")) as { id?: unknown };
    return typeof id === "number" ? id : undefined;
  } catch {
    return undefined;
  }
}

/** @throws HappyViewError PLUGIN_SETUP_FAILED when the package is not installed */
export async function loadTap(): Promise<typeof tap> {
  try {
    return await import("@atproto/tap");
  } catch (cause) {
    throw new HappyViewError("PLUGIN_SETUP_FAILED", {
      message: 'source: "tap" of firehose needs the package @atproto/tap, which is not installed',
      hint: "npm install @atproto/tap",
      cause,
    });
  }
}
