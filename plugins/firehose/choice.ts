import { provenMs, type ConnectionLife } from "./backoff.ts";

export interface ChoiceOptions {
  /** How many sources there are; the first is preferred. */
  count: number;
  /** A source that has failed for so long is left. */
  failoverAfterMs: number;
  /** The same after so many connections in a row that brought little or nothing. */
  failoverAfterAttempts: number;
  /** A preferred source is taken up again when every probe of so long succeeded. */
  failbackAfterMs: number;
  /** Unix milliseconds. */
  now: () => number;
}

/** Which of several sources is read: the next one when one fails, an earlier one when it has been well for a while. */
export interface Choice {
  readonly current: number;
  /** A connection of the current source ended. */
  ended(life: ConnectionLife): void;
  /** Milliseconds until the current source is left if nothing changes. */
  patienceMs(): number;
  /** Goes on to the next source when the current one has failed for long enough; true when it did. */
  failOver(): boolean;
  /** What a probe of another source found. */
  probed(index: number, isWell: boolean): void;
  /** Goes back to the first source that is well again; true when it did. */
  failBack(): boolean;
}

export function createChoice(options: ChoiceOptions): Choice {
  const { count, failoverAfterMs, failoverAfterAttempts, failbackAfterMs, now } = options;
  const wellSince = new Map<number, number>();
  let current = 0;
  let failingSince: number | undefined;
  let attempts = 0;

  const go = (index: number): true => {
    current = index;
    failingSince = undefined;
    attempts = 0;
    wellSince.clear();
    return true;
  };

  return {
    get current() {
      return current;
    },
    ended({ openMs, delivered }) {
      if (delivered && openMs >= provenMs) {
        failingSince = now();
        attempts = 0;
      }
      failingSince ??= now() - openMs;
      attempts += 1;
    },
    patienceMs() {
      if (count < 2 || failingSince === undefined) return Infinity;
      return Math.max(0, failingSince + failoverAfterMs - now());
    },
    failOver() {
      if (count < 2 || failingSince === undefined) return false;
      if (attempts < failoverAfterAttempts && now() - failingSince < failoverAfterMs) return false;
      return go((current + 1) % count);
    },
    probed(index, isWell) {
      if (!isWell) wellSince.delete(index);
      else if (!wellSince.has(index)) wellSince.set(index, now());
    },
    failBack() {
      for (let index = 0; index < current; index++)
        if (now() - (wellSince.get(index) ?? Infinity) >= failbackAfterMs) return go(index);
      return false;
    },
  };
}
