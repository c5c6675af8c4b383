import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import type { PluginApp } from "../../core/index.ts";
import { createBackoff } from "../firehose/backoff.ts";
import { connectOnce, type Ended } from "../firehose/connection.ts";
import { decodeFrame } from "./frames.ts";
import type { LabelIntake } from "./intake.ts";
import type { Subscriptions } from "./subscriptions.ts";

export interface LabelStream {
  /** Connected, and with the labeler's whole history: nothing has to be asked for by URI. */
  readonly isComplete: boolean;
  close(): Promise<void>;
}

export interface LabelStreamParts {
  app: Pick<PluginApp, "identity" | "events" | "log">;
  subscriptions: Subscriptions;
  intake: LabelIntake;
  did: string;
}

const maxBackoffMs = 300_000;
const connectTimeoutMs = 15_000;
const idleTimeoutMs = 60_000;

/** Frames of one labeler that wait for their scripts and the database. */
const maxWaiting = 100;

/** Reads a labeler from where it was left; one message after another, as labels of a record build on each other. */
export function startLabelStream({ app, subscriptions, intake, did }: LabelStreamParts): LabelStream {
  const stopping = new AbortController();
  const { signal } = stopping;
  const backoff = createBackoff({ maxMs: maxBackoffMs });
  let isConnected = false;
  let hasGap = false;
  let isTold = false;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const ended = await attempt().catch((error: unknown): Ended => failed(explain(error)));
      isConnected = false;
      if (signal.aborted) return;
      if (!isTold) {
        isTold = true; // one entry for an outage
        app.log.warn("a labeler is not connected; trying again", { labeler: did, reason: ended.reason });
        const { cursor = null } = (await subscriptions.get(did).catch(() => undefined)) ?? {};
        app.events.emit({
          type: "labeler.disconnected",
          severity: "warn",
          subject: did,
          detail: { did, last_seq: cursor, reason: ended.reason },
        });
      }
      await sleep(backoff.after(ended), undefined, { signal }).catch(() => {});
    }
  }

  async function attempt(): Promise<Ended> {
    const { services } = await app.identity.resolve(did);
    const endpoint = services["atproto_labeler"] ?? services["atproto_pds"];
    if (endpoint === undefined) return failed("its DID document names neither a labeler nor a PDS");
    const { cursor = null } = (await subscriptions.get(did)) ?? {};
    // From 0 on: without a cursor only what comes from now on would be sent.
    const url = `${endpoint.replace(/^http/, "ws")}/xrpc/com.atproto.label.subscribeLabels?cursor=${cursor ?? 0}`;
    const session = new AbortController();
    let queue: Promise<void> = Promise.resolve();
    let waiting = 0;
    const take = (data: Buffer): Promise<void> | void => {
      waiting += 1;
      queue = queue.then(() => handle(data, session.signal)).finally(() => void (waiting -= 1));
      queue.catch(() => session.abort());
      return waiting >= maxWaiting ? queue : undefined;
    };
    const ended = await connectOnce({
      url,
      signal: AbortSignal.any([signal, session.signal]),
      connectTimeoutMs,
      idleTimeoutMs,
      onOpen() {
        isConnected = true;
        isTold = false;
        app.log.info("reading a labeler", { labeler: did, url: shownUrl(url), cursor });
        app.events.emit({ type: "labeler.connected", subject: did, detail: { did } });
      },
      onFrame: take,
    });
    try {
      await queue; // what was received is stored before anything is read again
      return ended;
    } catch (error) {
      return { ...ended, reason: explain(error) };
    }
  }

  async function handle(data: Buffer, session: AbortSignal): Promise<void> {
    if (session.aborted || signal.aborted) return;
    const frame = decodeFrame(data);
    if (frame.kind === "labels") {
      const { seq, labels } = frame;
      await intake(did, labels, { signal, alsoIn: (tx) => subscriptions.moveCursor(tx, did, seq) });
    } else if (frame.kind === "info") {
      // The labeler has forgotten what came before: it can still be asked for by URI.
      if (frame.name === "OutdatedCursor") hasGap = true;
      app.log.warn("a labeler says", { labeler: did, info: frame.name });
    } else if (frame.kind === "error") throw new Error(`${frame.name}: ${frame.message}`);
    else app.log.warn("a frame of a labeler cannot be read; skipped", { labeler: did, reason: frame.reason });
  }

  const running = run();
  return {
    get isComplete() {
      return isConnected && !hasGap;
    },
    async close() {
      stopping.abort(new Error("the subscription stops"));
      await running;
    },
  };
}

function failed(reason: string): Ended {
  return { reason, openMs: 0, delivered: false };
}
