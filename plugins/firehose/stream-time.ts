/** How far a stream has come in time, told from the times that its messages bear. */
export interface StreamTime {
  /** A message bears this time; the stream's own, both in Unix microseconds. */
  add(timeUs: number | undefined): number | undefined;
}

const windowSize = 31;

/**
 * The median of the last messages: a relay passes on the times that the hosts of the accounts give, and the clock of one
 * host that is wrong by years must not move a position.
 */
export function createStreamTime(now: () => number): StreamTime {
  const last: number[] = [];
  let next = 0;
  let median: number | undefined;
  return {
    add(timeUs) {
      if (timeUs === undefined) return median;
      last[next % windowSize] = Math.min(timeUs, now() * 1000);
      next += 1;
      // Sorting for every message would be a waste: time moves on slowly.
      if (next <= windowSize || next % 8 === 0)
        median = last.toSorted((a, b) => a - b)[Math.floor((last.length - 1) / 2)];
      return median;
    },
  };
}
