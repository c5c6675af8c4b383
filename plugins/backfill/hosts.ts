import { setTimeout as sleep } from "node:timers/promises";
import { blamesHost, toFailure, type Failure } from "./failure.ts";

export interface HostLimits {
  /** Requests in flight to all hosts together. */
  total: number;
  /** Requests in flight to one host. */
  perHost: number;
  /** How long a host that fails is left alone for the first time. @default 500 */
  coolDownMs?: number;
  /** Failures in a row after which a host counts as down. @default 6 */
  downAfter?: number;
  /** The same where it keeps answering 429. @default twice as many */
  downAfterRateLimits?: number;
  /** Unix milliseconds. */
  now: () => number;
}

/** A request was not sent: its host asked for a pause, or is down. */
export class HostUnavailable extends Error {
  readonly host: string;
  /** When it may be asked again, in Unix milliseconds; undefined when it is down for this job. */
  readonly until: number | undefined;
  readonly failure: Failure;
  constructor(host: string, until: number | undefined, failure: Failure) {
    super(failure.message);
    this.name = "HostUnavailable";
    this.host = host;
    this.until = until;
    this.failure = failure;
  }
}

interface Host {
  inFlight: number;
  /** Failures in a row, each of a request that was sent after the one before. */
  failures: number;
  rateLimits: number;
  coolUntil: number;
  failedAt: number;
  last: Failure | undefined;
  isDown: boolean;
}

/**
 * Requests by host: a permit is held for one request, so a slow host holds up its own only. A host that fails is left
 * alone for a while that doubles (0.5 s to 120 s, or what it asks for), then asked by one request at a time; after
 * enough failures in a row it counts as down.
 */
export interface Hosts {
  /** @throws HostUnavailable where waiting would take long, and whatever `send` throws */
  request<T>(host: string, signal: AbortSignal, send: () => Promise<T>): Promise<T>;
  /** How many more units of a host to take in hand, when so many are. */
  room(host: string, inHand: number): number;
  /** Why a host is down; undefined for one that is not. */
  down(host: string): Failure | undefined;
}

/** Units in hand for each request that may be in flight, so that the next is ready when one ends. */
const unitsPerRequest = 4;

const maxCoolMs = 120_000;

/** A pause up to this long is waited for in place; for a longer one the unit goes back into the queue. */
const patienceMs = 1500;

export function createHosts(limits: HostLimits): Hosts {
  const {
    total,
    perHost,
    coolDownMs = 500,
    downAfter = 6,
    downAfterRateLimits = 2 * downAfter,
    now,
  } = limits;
  const hosts = new Map<string, Host>();
  let waiting: { host: Host; go: () => void }[] = [];
  let inFlight = 0;

  const hostOf = (name: string): Host => {
    let host = hosts.get(name);
    if (!host)
      hosts.set(
        name,
        (host = {
          inFlight: 0,
          failures: 0,
          rateLimits: 0,
          coolUntil: 0,
          failedAt: 0,
          last: undefined,
          isDown: false,
        }),
      );
    return host;
  };
  /** A host on probation gets one request at a time. */
  const widthOf = (host: Host): number => (host.failures + host.rateLimits > 0 ? 1 : perHost);
  const hasRoom = (host: Host): boolean => inFlight < total && host.inFlight < widthOf(host);

  function next(): void {
    for (const waiter of waiting) {
      if (inFlight >= total) return;
      if (!hasRoom(waiter.host)) continue;
      waiting = waiting.filter((other) => other !== waiter);
      waiter.host.inFlight += 1;
      inFlight += 1;
      waiter.go();
    }
  }

  async function permit(host: Host, signal: AbortSignal): Promise<void> {
    if (hasRoom(host)) {
      host.inFlight += 1;
      inFlight += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const waiter = {
        host,
        go() {
          signal.removeEventListener("abort", abort);
          resolve();
        },
      };
      const abort = (): void => {
        waiting = waiting.filter((other) => other !== waiter);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", abort, { once: true });
      waiting.push(waiter);
    });
  }

  function failed(host: Host, sentAt: number, failure: Failure): void {
    host.last = failure;
    if (sentAt < host.failedAt) return; // sent before the last failure: the same news
    host.failedAt = now();
    const isRateLimit = failure.kind === "rate_limited";
    const count = isRateLimit ? ++host.rateLimits : ++host.failures;
    const doubled = Math.min(coolDownMs * 2 ** (count - 1), maxCoolMs);
    host.coolUntil = now() + (failure.waitMs ?? doubled);
    host.isDown = host.failures >= downAfter || host.rateLimits >= downAfterRateLimits;
  }

  /** @throws HostUnavailable */
  async function awaitCool(name: string, host: Host, signal: AbortSignal): Promise<void> {
    for (;;) {
      const failure = host.last ?? { kind: "other", retryable: false, message: `${name} is not asked` };
      if (host.isDown) throw new HostUnavailable(name, undefined, failure);
      const leftMs = host.coolUntil - now();
      if (leftMs <= 0) return;
      if (leftMs > patienceMs) throw new HostUnavailable(name, host.coolUntil, failure);
      await sleep(leftMs, undefined, { signal });
    }
  }

  return {
    async request(name, signal, send) {
      const host = hostOf(name);
      signal.throwIfAborted(); // a request that begins after the abort would not notice it
      await awaitCool(name, host, signal);
      await permit(host, signal);
      const sentAt = now();
      try {
        signal.throwIfAborted();
        await awaitCool(name, host, signal); // it may have failed while this request waited its turn
        const result = await send();
        host.failures = 0;
        host.rateLimits = 0;
        return result;
      } catch (error) {
        if (!signal.aborted && !(error instanceof HostUnavailable)) {
          const failure = toFailure(error);
          if (blamesHost(failure)) failed(host, sentAt, failure);
          else host.failures = host.rateLimits = 0;
        }
        throw error;
      } finally {
        host.inFlight -= 1;
        inFlight -= 1;
        next();
      }
    },
    down(name) {
      const host = hosts.get(name);
      return host?.isDown ? host.last : undefined;
    },
    room(name, inHand) {
      const host = hosts.get(name);
      if (host && (host.isDown || host.coolUntil > now())) return 0;
      return Math.max(unitsPerRequest * (host ? widthOf(host) : perHost) - inHand, 0);
    },
  };
}
