import type { SourceEvent } from "../../core/index.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import { relayUrl } from "./filter.ts";
import { Lineup } from "./lineup.ts";
import { decodeRelay, type RelayCommit, type RelayMessage } from "./relay-decode.ts";
import { createRelayEvents, type RelayEventsParts } from "./relay-events.ts";
import { createSideLanes } from "./side-lanes.ts";
import { createStreamTime } from "./stream-time.ts";
import type { Session, StreamSource } from "./stream.ts";
import { Watermark, type Place } from "./watermark.ts";

export interface RelayParts extends RelayEventsParts {
  base: string;
  pipeline: Pick<Pipeline, "ingest" | "skip">;
}

/** Commits verified at once; further frames wait in the socket. */
const maxVerifying = 64;

/** Commits of did:web accounts verified at once besides, and how long of each minute they may hold up the others. */
const maxStrangers = 64;
const maxHoldMs = 5000;

/** The whole network from a relay, filtered and verified here; the position is the relay's own seq. */
export function relaySource(parts: RelayParts): StreamSource {
  const { base, pipeline, status } = parts;
  const { eventsOf, isOfStranger, drop } = createRelayEvents(parts);
  const position = `relay:${new URL(base).host}`;
  /** The relay refused the stored cursor: the next connection is live, and what lies between is a gap. */
  let refused: { cursor: string; reason: string } | undefined;

  /** A commit's operations share a place, which is reached when the last of them is. */
  function handOver(found: readonly SourceEvent[], place: Place | undefined): Promise<void> | void {
    const reached = place && { source: position, position: String(place.seq), timeUs: place.timeUs };
    if (found.length === 0) return reached && pipeline.skip(reached);
    let wait: Promise<void> | void = undefined;
    for (const [i, event] of found.entries())
      wait = pipeline.ingest(event, i === found.length - 1 ? reached : undefined);
    return wait;
  }

  /** Between what the index covers and the first event; other sources may have covered what this one lost. */
  function reportGap(
    lost: { cursor: string; reason: string } | undefined,
    seq: number,
    { cursor, coveredUs, timeUs }: { cursor?: string; coveredUs?: number; timeUs?: number },
  ): void {
    // The tip is now, whatever the clock of the host says whose message comes first.
    const firstUs = cursor === undefined || timeUs === undefined ? parts.now() * 1000 : timeUs;
    if (coveredUs !== undefined && firstUs <= coveredUs) return;
    if (lost) status.gap({ from: lost.cursor, to: String(seq), reason: lost.reason });
    else if (cursor === undefined && coveredUs !== undefined)
      status.gap({
        from: iso(coveredUs),
        to: iso(firstUs),
        reason: "the relay was not read before, so that it is read from its tip",
      });
  }

  return {
    position,
    filter: () => "",
    probe: () => ({
      url: relayUrl(base, undefined),
      read(data) {
        const message = decodeRelay(data);
        if (!("seq" in message) || message.seq === undefined) return undefined;
        return { position: String(message.seq), timeUs: Math.floor(parts.now() * 1000) };
      },
    }),
    open(stored, signal, coveredUs) {
      const cursor = refused ? undefined : stored;
      const lineup = new Lineup(maxVerifying);
      const strangers = createSideLanes({ limit: maxStrangers, maxHoldMs, now: parts.now });
      const mark = new Watermark();
      const time = createStreamTime(parts.now);
      let gapFrom = refused;
      let isFirst = true;

      const control = (message: RelayMessage): void => {
        if (message.kind === "info" && message.name === "OutdatedCursor" && cursor !== undefined)
          gapFrom = { cursor, reason: "the relay no longer has the events after our position" };
        if (message.kind !== "error") return;
        if (message.name === "FutureCursor" && cursor !== undefined)
          refused = { cursor, reason: "our position is ahead of the relay, which must have begun anew" };
        throw new Error(`the relay ended the stream: ${message.name} ${message.message}`.trim());
      };

      // After the end the next session reads all of this anew; whatever an abort cut short must not count as seen.
      const inLine = (found: SourceEvent[] | Promise<SourceEvent[]>, place: Place): Promise<void> | void =>
        lineup.add(found, (events) => (signal.aborted ? undefined : handOver(events, mark.pass(place))));

      /** The stream goes on while the commit is verified, but not its position. */
      function beside(commit: RelayCommit, place: Place): Promise<void> | void {
        if (!strangers.hasRoom()) {
          drop(commit, ["too many hosts of did:web accounts do not answer"]);
          return inLine([], place);
        }
        mark.hold(place);
        const verified = Promise.resolve(eventsOf(commit, signal));
        const wait = strangers.add(commit.did, verified, (events) =>
          signal.aborted ? undefined : handOver(events, mark.release(place.seq)),
        );
        return inLine([], place) ?? wait;
      }

      return {
        url: relayUrl(base, cursor),
        receive(data) {
          const message = decodeRelay(data);
          if (message.kind === "malformed") return status.malformed(message.reason);
          if (message.kind === "info" || message.kind === "error") return control(message);
          const { seq } = message;
          status.received(message.kind, message.timeUs);
          if (seq === undefined) return;
          const timeUs = time.add(message.timeUs);
          if (isFirst) reportGap(gapFrom, seq, { cursor, coveredUs, timeUs: message.timeUs });
          refused = undefined;
          // A live stream has no place to come back to before its first event is done, which may have to wait.
          if (isFirst && cursor === undefined && seq > 0)
            void handOver([], mark.pass({ seq: seq - 1, timeUs }));
          isFirst = false;
          const place = { seq, timeUs };
          return isOfStranger(message) ? beside(message, place) : inLine(eventsOf(message, signal), place);
        },
        handedOver: async () => void (await Promise.all([lineup.done(), strangers.done()])),
      } satisfies Session;
    },
  };
}

function iso(us: number): string {
  return new Date(us / 1000).toISOString();
}
