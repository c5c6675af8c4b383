import { zstdCompressSync } from "node:zlib";
import type { JetstreamEvent } from "./event.ts";

/** One event, serialised once for all its readers. */
export interface JetstreamEntry {
  did: string;
  timeUs: number;
  /** Undefined for identity and account events. */
  collection: string | undefined;
  data: Buffer;
  zstd?: Buffer;
}

/** An entry from an event or a line; a line that is no event goes to every reader as it is. */
export function toEntry(event: JetstreamEvent | string, now: () => number): JetstreamEntry {
  const data = Buffer.from(typeof event === "string" ? event : JSON.stringify(event));
  const { did, time_us, commit } = typeof event === "string" ? parseLoosely(event) : asLoose(event);
  return {
    did: typeof did === "string" ? did : "",
    timeUs: typeof time_us === "number" ? time_us : now(),
    collection: typeof commit?.collection === "string" ? commit.collection : undefined,
    data,
  };
}

/** The event as one zstd frame without a dictionary. */
export function zstdOf(entry: JetstreamEntry): Buffer {
  entry.zstd ??= zstdCompressSync(entry.data);
  return entry.zstd;
}

interface LooseEvent {
  did?: unknown;
  time_us?: unknown;
  commit?: { collection?: unknown } | null;
}

function parseLoosely(line: string): LooseEvent {
  try {
    const value: unknown = JSON.parse(line);
    return value !== null && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

function asLoose(event: JetstreamEvent): LooseEvent {
  return event;
}
