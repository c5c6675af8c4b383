import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import { isUnreachable } from "../../core/identity/resolve.ts";
import { createBackoff } from "./backoff.ts";
import type { Status } from "./status.ts";

export interface PatienceParts {
  status: Pick<Status, "waiting" | "resumed">;
  /** Unix milliseconds. */
  now: () => number;
  /** In [0, 1). @default Math.random */
  random?: (() => number) | undefined;
}

/** Asks again until there is an answer, or until it is no use; rejects with the last failure. */
export type Patience = <T>(did: string, ask: () => Promise<T>, signal: AbortSignal) => Promise<T>;

const maxWaitMs = 30_000;

/** The host of a did:web belongs to whoever made the account: one that is away must not hold up the network. */
const strangersPatienceMs = 10_000;
const givenUpForMs = 60_000;
const maxGivenUp = 1000;

/**
 * A commit that nobody can check now is not a bad one: as long as the directory is away the stream waits for it, since
 * what was passed over would be lost. Only for did:web does the patience end, and then for all commits of a minute.
 */
export function createPatience({ status, now, random }: PatienceParts): Patience {
  const givenUp = new Map<string, number>();

  function giveUp(host: string): void {
    if (givenUp.size >= maxGivenUp) givenUp.clear();
    givenUp.set(host, now());
  }

  return async (did, ask, signal) => {
    const isStrangers = !did.startsWith("did:plc:");
    const host = did.split(":")[2] ?? did;
    const startedAt = now();
    const backoff = createBackoff({ maxMs: maxWaitMs, random });
    if (isStrangers && startedAt - (givenUp.get(host) ?? -Infinity) < givenUpForMs)
      throw new Error(`the host of ${did} was away a moment ago`);
    for (;;) {
      try {
        const answer = await ask();
        if (!isStrangers) status.resumed();
        return answer;
      } catch (error) {
        if (signal.aborted || !isUnreachable(error)) throw error;
        if (!isStrangers) status.waiting(explain(error));
        else if (now() - startedAt >= strangersPatienceMs) {
          giveUp(host);
          throw error;
        }
        const waitMs = backoff.after({ openMs: 0, delivered: false });
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) throw error;
      }
    }
  };
}
