import type { Events } from "../../core/events.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import { createArchive, type Archive, type Stretch } from "./archive/archive.ts";
import { troubleOf } from "./archive/error.ts";
import type { ArchiveHttpParts } from "./archive/http.ts";
import { jetstreamV2Url, lexiconSchema, wantedCollections } from "./filter.ts";
import { jetstreamSource, type JetstreamParts } from "./jetstream.ts";
import { createCompression, maxMessageBytes } from "./jetstream-v2-compression.ts";
import { decodeV2 } from "./jetstream-v2-decode.ts";
import { createStreamTime } from "./stream-time.ts";
import type { Session, StreamSource } from "./stream.ts";

export interface JetstreamV2Parts extends JetstreamParts {
  /** For the archive of a hosted Jetstream that asks for one. */
  archiveKey?: string | undefined;
  fetch?: ArchiveHttpParts["fetch"];
  flush: Pipeline["flush"];
  events: Events;
  log: Logger;
  /** In [0, 1); spreads retries. @default Math.random */
  random?: (() => number) | undefined;
  /** How much of the stream is read twice where seqs say nothing. */
  overlapMs: number;
}

/** What the socket no longer has: all after this place. */
interface Behind {
  seq?: number;
  timeUs?: number | undefined;
}

/** A cursor below is a seq, another one Unix microseconds (jetstream §1.2). */
const leastMicros = 1e15;

/** A server without the v2 socket is read as what it is for so long before it is asked again. */
const askAgainMs = 10 * 60 * 1000;

const progressEveryMs = 10_000;

/**
 * The v2 socket of a Jetstream, and its archive for what the socket no longer has: after an outage of any length nothing
 * is missing. The position is the seq of the last event, which only its own server understands: its host is part of the
 * position's name. A server that has no v2 socket is read through the old one.
 */
export function jetstreamV2Source(parts: JetstreamV2Parts): StreamSource {
  const { base, pipeline, status, log, now, overlapMs } = parts;
  const wanted = (): string[] => wantedCollections(parts.collections());
  const position = `jetstream-v2:${new URL(base).host}`;
  const old = jetstreamSource(parts);
  const compression = createCompression(parts);
  const archive = createArchive({
    base,
    key: parts.archiveKey,
    fetch: parts.fetch,
    random: parts.random,
    onUnreadable: status.malformed,
  });
  const catchUp = createCatchUp({ ...parts, archive, position });
  let behind: Behind | undefined;
  /** Why there is no archive, when what the socket no longer has is lost for that. */
  let lostFor: string | undefined;
  let hasBegunAnew = false;
  let readOldUntil = 0;
  const isOld = (): boolean => now() < readOldUntil;

  /** Where a connection begins, with what is known now of the stored position. */
  function startFrom(stored: string | undefined, coveredUs: number | undefined): string | undefined {
    if (hasBegunAnew) return coveredUs === undefined ? undefined : String(coveredUs - overlapMs * 1000);
    // A time before all times: the server raises it to the oldest event that it has, and says so.
    return lostFor !== undefined && stored !== undefined ? String(leastMicros) : stored;
  }

  function open(stored: string | undefined, coveredUs: number | undefined): Session {
    const cursor = startFrom(stored, coveredUs);
    const asked = cursor === undefined ? undefined : Number(cursor);
    const askedSeq = asked !== undefined && asked < leastMicros ? asked : undefined;
    const time = createStreamTime(now);
    let last = askedSeq ?? 0;
    let isFirst = true;
    let gapReason: string | undefined;

    function outdated(): void {
      gapReason = lostFor;
      if (lostFor !== undefined) return;
      behind = { timeUs: asked };
      throw new Error("the socket no longer has the events after our position");
    }

    function begin(seq: number): void {
      isFirst = false;
      // The server gives what we asked for or what is later, so these are not the numbers that we know.
      if (askedSeq !== undefined && seq < askedSeq) {
        hasBegunAnew = true;
        throw new Error(`the server is at seq ${seq}, before our position ${askedSeq}: it has begun anew`);
      }
      if (gapReason !== undefined) status.gap({ from: String(stored), to: String(seq), reason: gapReason });
      hasBegunAnew = false;
      lostFor = undefined;
    }

    return {
      url: jetstreamV2Url(base, { wanted: wanted(), cursor, dictionaryId: compression.dictionaryId }),
      receive(data, binary) {
        if (data.length > maxMessageBytes) return status.malformed(`a frame of ${data.length} bytes`);
        const message = decodeV2(binary ? compression.read(data) : data.toString("utf8"));
        if (message.kind === "malformed") return status.malformed(message.reason);
        if (message.kind === "error")
          throw new Error(`the server ended the stream: ${message.name} ${message.message}`.trim());
        if (message.kind === "info") return message.name === "OutdatedCursor" ? outdated() : undefined;
        status.received(
          message.kind === "event" ? message.event.kind : "other",
          "timeUs" in message ? message.timeUs : undefined,
        );
        if (message.kind === "unknown") return;
        const { seq } = message;
        if (isFirst) begin(seq);
        if (seq <= last) return; // a cursor is inclusive, and every seam repeats (jetstream §5.2)
        last = seq;
        const reached = { source: position, position: String(seq), timeUs: time.add(message.timeUs) };
        return message.kind === "event" ? pipeline.ingest(message.event, reached) : pipeline.skip(reached);
      },
      handedOver: () => Promise.resolve(),
      ended(reason) {
        if (reason.includes("CursorTooOld")) behind = { seq: askedSeq, timeUs: coveredUs };
        else if (reason.includes("UnknownZstdDictionary")) compression.refused();
        else if (/^the server answered (404|501)/.test(reason)) {
          log.warn("the server has no v2 socket; it is read through the old one", { reason });
          readOldUntil = now() + askAgainMs;
        }
      },
    };
  }

  return {
    get position() {
      return isOld() ? old.position : position;
    },
    cursorAt: (timeUs) => String(Math.floor(timeUs)),
    filter: () => wanted().join(),
    probe: () => ({
      url: jetstreamV2Url(base, { wanted: [lexiconSchema], cursor: undefined, dictionaryId: undefined }),
    }),
    async prepare(signal) {
      // Known for one attempt only: until the next one another source may have read on.
      const place = behind;
      behind = undefined;
      lostFor = undefined;
      if (isOld()) return;
      await compression.prepare(signal);
      if (!place) return;
      try {
        await catchUp(place, signal);
        hasBegunAnew = false;
      } catch (error) {
        if (troubleOf(error) !== "refused") throw error;
        lostFor = explain(error);
      }
    },
    open: (stored, signal, coveredUs) =>
      isOld() ? old.open(stored, signal, coveredUs) : open(stored, coveredUs),
  };
}

/** Reads the archive from a place to its end, into the pipeline. What was read is durable when it ends, however that comes, and the position with it. */
function createCatchUp(
  parts: JetstreamV2Parts & { archive: Archive; position: string },
): (place: Behind, signal: AbortSignal) => Promise<void> {
  const { archive, base, pipeline, status, events, log, now, position: source } = parts;
  const planner = `${base.replace(/\/+$/, "")}/xrpc/network.bsky.jetstream.planSnapshot`;

  async function ingest(
    { events: archived, throughSeq, witnessedUs }: Stretch,
    signal: AbortSignal,
  ): Promise<void> {
    for (const { seq, witnessedUs: timeUs, event } of archived) {
      status.received(event.kind, timeUs);
      await unlessAborted(pipeline.ingest(event, { source, position: String(seq), timeUs }), signal);
    }
    const reached = { source, position: String(throughSeq), timeUs: witnessedUs };
    await unlessAborted(pipeline.skip(reached), signal);
  }

  return async (place, signal) => {
    const afterSeq = await archive.startOf(place, signal);
    // To be reading an archive is to be connected: how far it is behind is told by the time of the last event.
    status.connected(shownUrl(planner));
    events.emit({ type: "firehose.sweep_started", detail: { source, afterSeq } });
    const collections = [...parts.collections(), lexiconSchema];
    let detail: Record<string, unknown> = { source, afterSeq };
    let bytes = 0;
    let toldAt = now();
    try {
      for await (const stretch of archive.sweep({ afterSeq, collections, signal })) {
        await ingest(stretch, signal);
        const { throughSeq, tipSeq, totals } = stretch;
        status.bytes(totals.bytes - bytes);
        bytes = totals.bytes;
        detail = { source, afterSeq, throughSeq, tipSeq, ...totals };
        if (now() - toldAt < progressEveryMs) continue;
        toldAt = now();
        log.info("reading the archive of the Jetstream", detail);
      }
    } finally {
      if (!signal.aborted) await unlessAborted(parts.flush(), signal);
    }
    log.info("the archive of the Jetstream is read", detail);
    events.emit({ type: "firehose.sweep_finished", detail });
  };
}

/** Waits for room or durability, which a database that is away may never give. */
async function unlessAborted(work: Promise<void> | void, signal: AbortSignal): Promise<void> {
  if (!work) return;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  try {
    if (signal.aborted) abort();
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
