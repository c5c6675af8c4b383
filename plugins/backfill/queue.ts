import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";
import type { Failure } from "./failure.ts";
import type { Hosts } from "./hosts.ts";
import type { Occupancy } from "./occupancy.ts";
import type { Unit } from "./unit.ts";
import type { Units } from "./units.ts";

export interface QueueParts {
  units: Pick<Units, "claim" | "left" | "waitingHosts">;
  hosts: Pick<Hosts, "down">;
  occupancy: Pick<Occupancy, "room">;
  log: Logger;
  jobId: string;
  token: string;
  /** Units in hand at once. */
  windowSize: number;
  /** Unix milliseconds. */
  now: () => number;
  signal: AbortSignal;
  /** Works on a unit, and notes what becomes of it. */
  handle(unit: Unit): Promise<void>;
  /** Units that wait for such a host fail. */
  failHost(host: string, failure: Failure): Promise<void>;
  /** Resolves when all that was noted is durable. */
  flush(): Promise<void>;
}

/** The units of a job that this process works on: it takes more from the database as there is room. */
export interface Queue {
  /** Works until nothing is left while `isComplete`, or the signal aborts. */
  work(isComplete: () => boolean): Promise<void>;
  /** Units of a host are in the database, to be taken when it has room. */
  waitFor(host: string): void;
  /** There may be something to do. */
  wake(): void;
  /** Resolves when no unit is in hand. */
  emptied(): Promise<void>;
}

const idleMs = 250;
const claimSize = 100;
const lookEveryMs = 500;

export function createQueue(parts: QueueParts): Queue {
  const { units, hosts, occupancy, log, jobId, token, windowSize, now, signal } = parts;
  const inHand = new Map<string, Promise<void>>();
  let waitingHosts = new Set<string>();
  let lookedAt = 0;
  let wake = (): void => {};

  async function lookForHosts(): Promise<void> {
    if (inHand.size >= windowSize / 2 || now() - lookedAt <= lookEveryMs) return;
    lookedAt = now();
    waitingHosts = new Set([...waitingHosts, ...(await units.waitingHosts(jobId))]);
  }

  /** Takes more units in hand while there is room; true when it got some. */
  async function fill(): Promise<boolean> {
    let taken = 0;
    for (const host of waitingHosts) {
      const reason = hosts.down(host);
      if (reason) {
        waitingHosts.delete(host);
        await parts.failHost(host, reason);
      }
      const room = Math.min(occupancy.room(host), windowSize - inHand.size);
      if (room <= 0) continue;
      const claimed = await units.claim(jobId, token, host, room);
      if (claimed.length < room) waitingHosts.delete(host);
      taken += begin(claimed);
    }
    const room = Math.min(windowSize - inHand.size, claimSize);
    if (room > 0) taken += begin(await units.claim(jobId, token, null, room));
    return taken > 0;
  }

  function begin(claimed: readonly Unit[]): number {
    for (const unit of claimed) {
      const task = parts
        .handle(unit)
        .catch((error) => log.error("a repo was left in mid-work", { did: unit.did, error: explain(error) }))
        .finally(() => {
          inHand.delete(unit.did);
          wake();
        });
      inHand.set(unit.did, task);
    }
    return claimed.length;
  }

  async function untilSomethingChanges(): Promise<void> {
    const woken = new Promise<void>((go) => (wake = go));
    await Promise.race([woken, sleep(idleMs, undefined, { signal }).catch(() => {})]);
  }

  return {
    async work(isComplete) {
      while (!signal.aborted) {
        await lookForHosts();
        const got = await fill();
        if (signal.aborted) return;
        if (!got && inHand.size === 0 && isComplete()) {
          await parts.flush();
          if ((await units.left(jobId)) === 0) return;
        }
        if (!got) await untilSomethingChanges();
      }
    },
    waitFor: (host) => void waitingHosts.add(host),
    wake: () => wake(),
    async emptied() {
      await Promise.all(inHand.values());
    },
  };
}
