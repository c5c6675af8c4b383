import type { Pipeline } from "../../core/records/pipeline.ts";
import { decodeJetstream } from "./decode.ts";
import { jetstreamUrl, wantedCollections } from "./filter.ts";
import type { Status } from "./status.ts";
import type { Session, StreamSource } from "./stream.ts";

export interface JetstreamParts {
  base: string;
  collections: () => readonly string[];
  pipeline: Pick<Pipeline, "ingest" | "skip">;
  status: Status;
  /** Unix milliseconds. */
  now: () => number;
}

/** What any Jetstream keeps; the published look-backs are 24, 36 and 72 hours. */
const lookBackUs = 24 * 3600 * 1e6;
const jumpUs = 10 * 60 * 1e6;

/** The v1 socket of a Jetstream; the position is the `time_us` of the last event, of whatever kind, if it is not yet to come. */
export function jetstreamSource(parts: JetstreamParts): StreamSource {
  const { base, pipeline, status, now } = parts;
  const wanted = (): string[] => wantedCollections(parts.collections());
  const position = `jetstream:${new URL(base).host}`;

  return {
    position,
    cursorAt: (timeUs) => String(Math.floor(timeUs)),
    filter: () => wanted().join(),
    // Identity and account events pass every filter, and lexicons are seldom published.
    probe: () => ({ url: jetstreamUrl(base, wantedCollections([]), undefined) }),
    open(cursor) {
      const openedUs = now() * 1000;
      let isFirst = true;

      return {
        url: jetstreamUrl(base, wanted(), cursor),
        receive(data, binary) {
          const decoded = decodeJetstream(data, binary);
          if (decoded.kind === "malformed") return status.malformed(decoded.reason);
          const timeUs = notYetToCome(decoded.timeUs);
          status.received(decoded.kind === "event" ? decoded.event.kind : "other", timeUs);
          if (timeUs === undefined) return;
          if (isFirst && cursor !== undefined) reportGap(Number(cursor), timeUs, openedUs);
          isFirst = false;
          const reached = { source: position, position: String(timeUs), timeUs };
          return decoded.kind === "event" ? pipeline.ingest(decoded.event, reached) : pipeline.skip(reached);
        },
        handedOver: () => Promise.resolve(),
      } satisfies Session;
    },
  };

  /** A cursor in the future means the live tip: one event of a wrong clock would lose all that comes until then. */
  function notYetToCome(timeUs: number | undefined): number | undefined {
    return timeUs === undefined ? undefined : Math.min(timeUs, Math.floor((now() + 1) * 1000)); // a clock of milliseconds
  }

  /**
   * A cursor older than what the server keeps is silently raised (jetstream §1.2). Identity and account events pass
   * every filter, so on a network of any size a first event long after an old cursor means just that. HappyView gives
   * cursors up after 72 hours; asking for what the server still has loses less.
   */
  function reportGap(cursorUs: number, firstUs: number, openedUs: number): void {
    if (openedUs - cursorUs <= lookBackUs || firstUs - cursorUs <= jumpUs) return;
    const iso = (us: number): string => new Date(us / 1000).toISOString();
    status.gap({
      from: iso(cursorUs),
      to: iso(firstUs),
      reason: "the Jetstream no longer has the events after our position",
    });
  }
}
