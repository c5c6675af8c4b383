import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import type { Events } from "../../core/events.ts";
import { createBackoff } from "../firehose/backoff.ts";
import { connectOnce, type Ended } from "../firehose/connection.ts";
import type { Gate } from "./gate.ts";
import type { LabelerIdentities } from "./identities.ts";
import { createReader, LabelerError, type ReaderParts } from "./reader.ts";
import type { Status } from "./status.ts";
import type { Subscription, Subscriptions } from "./subscriptions.ts";

export interface LabelStreamParts extends Pick<ReaderParts, "intake" | "write" | "now" | "quietMs"> {
  did: string;
  identities: LabelerIdentities;
  subscriptions: Subscriptions;
  gate: Gate;
  status: Status;
  events: Events;
  /** In [0, 1). @default Math.random */
  random?: (() => number) | undefined;
  maxBackoffMs: number;
}

export interface LabelStream {
  /** Ends it; what is not stored yet is read again next time. */
  close(): Promise<void>;
}

const connectTimeoutMs = 15_000;
const idleTimeoutMs = 60_000;

/** A larger frame breaks the connection; the reader skips those that are not that large. */
const maxBytes = 16 * 1024 * 1024;

/** Keeps a labeler connected, from its cursor on, until it is closed. */
export function startLabelStream(parts: LabelStreamParts): LabelStream {
  const { did, identities, subscriptions, gate, status, events } = parts;
  const stopping = new AbortController();
  const { signal } = stopping;
  const backoff = createBackoff({ maxMs: parts.maxBackoffMs, random: parts.random });

  async function run(): Promise<void> {
    let isFirst = true;
    while (!signal.aborted) {
      const ended = await attempt(isFirst).catch((error: unknown): Ended => ({
        reason: explain(error),
        openMs: 0,
        delivered: false,
      }));
      isFirst = false;
      if (signal.aborted) break;
      const row = subscriptions.all().find((subscription) => subscription.did === did);
      status.disconnected(did, { reason: ended.reason, lastSeq: row?.cursor ?? null });
      await sleep(backoff.after(ended), undefined, { signal }).catch(() => undefined);
    }
    status.stopped(did);
  }

  async function attempt(isFirst: boolean): Promise<Ended> {
    // A labeler that is away may have moved.
    const { endpoint } = await (isFirst ? identities.resolve(did) : identities.refresh(did));
    await gate.admit(endpoint);
    const subscription = await subscriptions.get(did);
    if (subscription?.status !== "active") throw new Error(`${did} is not subscribed to`);
    // From 0 on: without a cursor only what comes from now on would be sent.
    const cursor = subscription.cursor ?? 0;
    const url = `${endpoint.replace(/^http/, "ws")}/xrpc/com.atproto.label.subscribeLabels?cursor=${cursor}`;
    return connect(url, subscription);
  }

  async function connect(url: string, subscription: Subscription): Promise<Ended> {
    const failed = new AbortController();
    let refusal: unknown;
    const reader = createReader({
      ...parts,
      signal,
      onCaughtUp: () => subscriptions.caughtUp(did),
      onFailed: (reason) => failed.abort(new Error(reason)),
    });
    const ended = await connectOnce({
      url,
      signal: AbortSignal.any([signal, failed.signal]),
      connectTimeoutMs,
      idleTimeoutMs,
      maxBytes,
      lookup: gate.lookup,
      onOpen() {
        status.connected(did, shownUrl(url));
        reader.opened();
      },
      onFrame(data) {
        try {
          return reader.receive(data);
        } catch (error) {
          refusal = error;
          throw error;
        }
      },
    });
    await reader.close();
    await subscriptions.refresh();
    if (refusal instanceof LabelerError) await refused(refusal, subscription);
    return failed.signal.aborted ? { ...ended, reason: explain(failed.signal.reason) } : ended;
  }

  /** A labeler that does not know our cursor counts anew: it is read from its first message, which changes nothing twice. */
  async function refused({ code }: LabelerError, { cursor }: Subscription): Promise<void> {
    if (code !== "FutureCursor" || cursor === null || signal.aborted) return;
    await subscriptions.startOver(did);
    const detail = { cursor, reason: "our cursor is ahead of the labeler, which must have begun anew" };
    events.emit({ type: "labeler.started_over", severity: "warn", subject: did, detail });
  }

  const running = run();
  return {
    async close() {
      stopping.abort(new Error("the stream stops"));
      await running;
    },
  };
}
