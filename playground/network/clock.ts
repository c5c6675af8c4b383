import { TID } from "@atproto/common-web";

/** Start of the simulated clock: 2026-01-01T00:00:00Z, in microseconds. */
export const simulatedStart = 1_767_225_600_000_000;

export interface NetworkClock {
  /** Unix microseconds; every call gives a greater value. */
  micros(): number;
  /**
   * Like micros, but a whole millisecond. Account events use it: consumers read their time from `time_us`
   * or from a datetime, and would otherwise disagree about which commits came before a deletion.
   */
  wholeMillis(): number;
}

/**
 * Without `now` the clock is simulated and moves one millisecond a call, so that a run can be repeated to the byte.
 * @example createNetworkClock(Date.now) // real time, for a playground
 */
export function createNetworkClock(now?: () => number): NetworkClock {
  let last = simulatedStart;
  const source = now ? () => Math.floor(now() * 1000) : () => last + 1000;
  return {
    micros: () => (last = Math.max(last + 1, source())),
    wholeMillis: () => (last = Math.ceil(Math.max(last + 1, source()) / 1000) * 1000),
  };
}

export function tidAt(micros: number, clockId: number): string {
  return TID.fromTime(micros, clockId).toString();
}

/** RFC 3339 with microseconds, as relays write it. */
export function datetimeAt(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  const fraction = String(micros % 1_000_000).padStart(6, "0");
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** Unix microseconds of an RFC 3339 datetime, or NaN. */
export function microsOf(datetime: string): number {
  const fraction = /\.(\d+)/.exec(datetime)?.[1] ?? "";
  const wholeSeconds = Math.floor(Date.parse(datetime) / 1000) * 1_000_000;
  return wholeSeconds + Number(fraction.padEnd(6, "0").slice(0, 6));
}
