/** Time as the store writes it: RFC 3339 UTC with nine digits, never twice the same and never backwards. */
export interface Clock {
  /** `2026-05-20T12:00:00.123456000+00:00`; later calls compare greater as text. */
  timestamp(): string;
  /** Unix time in milliseconds. */
  now(): number;
}

/**
 * A clock whose timestamps grow strictly, by one microsecond where the system clock stands still:
 * lists are ordered by them, so equal stamps would make the order of a burst a matter of chance.
 */
export function createClock(now: () => number = Date.now): Clock {
  let lastMicros = 0;
  let lastSecond = -1;
  let prefix = "";
  return {
    now,
    timestamp() {
      lastMicros = Math.max(lastMicros + 1, Math.floor(now() * 1000));
      const second = Math.floor(lastMicros / 1_000_000);
      if (second !== lastSecond) {
        lastSecond = second;
        prefix = new Date(second * 1000).toISOString().slice(0, 19);
      }
      return `${prefix}.${String(lastMicros % 1_000_000).padStart(6, "0")}000+00:00`;
    },
  };
}
