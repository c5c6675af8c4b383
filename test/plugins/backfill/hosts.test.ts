import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { RefusedAnswer } from "../../../core/http/answer.ts";
import { FetchError } from "../../../plugins/backfill/failure.ts";
import {
  createHosts,
  HostUnavailable,
  type HostLimits,
  type Hosts,
} from "../../../plugins/backfill/hosts.ts";

const a = "https://a.test";
const b = "https://b.test";
const { signal } = new AbortController();

const serverError = new RefusedAnswer(a, { status: 503 });
const rateLimit = (waitMs?: number): RefusedAnswer => new RefusedAnswer(a, { status: 429, waitMs });

interface Bench extends Hosts {
  /** Moves the clock. */
  pass(ms: number): void;
  fail(error: Error, host?: string): Promise<void>;
  succeed(host?: string): Promise<void>;
  /** Milliseconds for which a host is not asked; Infinity when it is down, 0 when it may be asked. */
  pause(host?: string): Promise<number>;
}

/** Hosts on a clock that stands still; a first pause is longer than what a request waits for in place. */
function bench(limits: Partial<HostLimits> = {}): Bench {
  let time = 1_000_000;
  const hosts = createHosts({ total: 10, perHost: 3, coolDownMs: 2000, now: () => time, ...limits });
  return {
    ...hosts,
    pass: (ms) => void (time += ms),
    async fail(error, host = a) {
      const sending = hosts.request(host, signal, async () => {
        time += 1; // an answer comes after its question
        throw error;
      });
      await expect(sending).rejects.toBe(error);
    },
    succeed: (host = a) => hosts.request(host, signal, async () => {}),
    async pause(host = a) {
      try {
        await hosts.request(host, signal, async () => {});
        return 0;
      } catch (error) {
        if (!(error instanceof HostUnavailable)) throw error;
        return error.until === undefined ? Infinity : error.until - time;
      }
    },
  };
}

/** Requests that are under way until they are told how to end. */
function held(hosts: Hosts) {
  const started: string[] = [];
  const ends = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  return {
    started,
    send(name: string, host = a, ending: AbortSignal = signal): Promise<void> {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      ends.set(name, { resolve, reject });
      const result = hosts.request(host, ending, () => {
        started.push(name);
        return promise;
      });
      result.catch(() => {}); // who looks at it does so later
      return result;
    },
    end: (name: string) => ends.get(name)?.resolve(),
    fail: (name: string, error: Error) => ends.get(name)?.reject(error),
  };
}

describe("a host that fails", () => {
  test("is left alone for a while that doubles, two minutes at most", async () => {
    const hosts = bench({ downAfter: 100 });
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      await hosts.fail(serverError);
      pauses.push(await hosts.pause());
      hosts.pass(pauses.at(-1) ?? 0);
    }
    expect(pauses).toEqual([2000, 4000, 8000, 16_000, 32_000, 64_000, 120_000, 120_000]);
  });

  test("starts at half a second when nothing else is said", async () => {
    const hosts = bench({ coolDownMs: undefined, downAfter: 100 });
    for (let i = 0; i < 3; i++) {
      await hosts.fail(serverError);
      hosts.pass(i < 2 ? 500 * 2 ** i : 0);
    }
    expect(await hosts.pause()).toBe(2000);
  });

  test("is left alone for as long as it asks", async () => {
    const hosts = bench();
    await hosts.fail(new RefusedAnswer(a, { status: 503, waitMs: 77_000 }));
    expect(await hosts.pause()).toBe(77_000);
    hosts.pass(77_000);
    await hosts.fail(rateLimit(33_000));
    expect(await hosts.pause()).toBe(33_000);
  });

  test("begins anew after a success", async () => {
    const hosts = bench({ downAfter: 3 });
    for (let i = 0; i < 4; i++) {
      await hosts.fail(serverError);
      expect(await hosts.pause()).toBe(2000);
      hosts.pass(2000);
      await hosts.succeed();
    }
  });

  test("begins anew after an answer that says no: it works", async () => {
    const hosts = bench({ downAfter: 2 });
    await hosts.fail(serverError);
    hosts.pass(2000);
    await hosts.fail(new RefusedAnswer(a, { status: 400, error: "RepoNotFound" }));
    await hosts.fail(new FetchError("repo_invalid", "a bad export"));
    await hosts.fail(serverError);
    expect(await hosts.pause()).toBe(2000);
  });

  test("holds up nobody else", async () => {
    const hosts = bench();
    await hosts.fail(serverError);
    expect(await hosts.pause(b)).toBe(0);
  });

  test("counts once for requests that were under way together", async () => {
    const hosts = bench({ downAfter: 2 });
    const { send, fail } = held(hosts);
    const all = ["one", "two", "three"].map((name) => send(name));
    await nextTurn();
    for (const name of ["one", "two", "three"]) {
      hosts.pass(10);
      fail(name, serverError);
      await nextTurn();
    }
    await Promise.allSettled(all);
    expect(await hosts.pause()).toBe(2000 - 20);
  });

  test("is waited for in place when it is for a moment", async () => {
    const hosts = createHosts({ total: 1, perHost: 1, coolDownMs: 30, now: Date.now });
    await expect(hosts.request(a, signal, () => Promise.reject(serverError))).rejects.toBe(serverError);
    const failedAt = Date.now();
    await hosts.request(a, signal, async () => {});
    expect(Date.now() - failedAt).toBeGreaterThanOrEqual(28);
  });
});

describe("a host that keeps failing", () => {
  test("is down after so many failures, and says why", async () => {
    const hosts = bench({ downAfter: 3 });
    await hosts.fail(serverError);
    hosts.pass(2000);
    await hosts.fail(new FetchError("timeout", "too late"));
    hosts.pass(4000);
    expect(hosts.room(a, 0)).toBeGreaterThan(0);
    await hosts.fail(new FetchError("dns_failure", "no such host"));
    hosts.pass(1_000_000);
    expect(await hosts.pause()).toBe(Infinity);
    expect(hosts.room(a, 0)).toBe(0);
    const refused = await hosts.succeed().catch((error: unknown) => error);
    expect(refused).toMatchObject({
      host: a,
      until: undefined,
      failure: { kind: "dns_failure", message: "no such host" },
    });
  });

  test("may say 429 more often than it may fail", async () => {
    const hosts = bench({ downAfter: 2, downAfterRateLimits: 4 });
    for (let i = 0; i < 3; i++) {
      await hosts.fail(rateLimit(5000));
      expect(await hosts.pause()).toBe(5000);
      hosts.pass(5000);
    }
    await hosts.fail(serverError);
    expect(await hosts.pause()).toBe(2000);
    hosts.pass(2000);
    await hosts.fail(rateLimit(5000));
    expect(await hosts.pause()).toBe(Infinity);
  });

  test("is asked by one request at a time", async () => {
    const hosts = bench();
    await hosts.fail(serverError);
    hosts.pass(2000);
    const { started, send, end } = held(hosts);
    send("one");
    send("two");
    await nextTurn();
    expect(started).toEqual(["one"]);
    expect(hosts.room(a, 0)).toBe(4);
    end("one");
    await nextTurn();
    send("three");
    send("four");
    await nextTurn();
    expect(started).toEqual(["one", "two", "three", "four"]);
  });

  test("lets those that waited their turn know", async () => {
    const hosts = bench({ downAfter: 1, perHost: 1 });
    const { started, send, fail } = held(hosts);
    send("one");
    const second = send("two");
    const third = send("three");
    await nextTurn();
    hosts.pass(1);
    fail("one", serverError);
    await expect(second).rejects.toBeInstanceOf(HostUnavailable);
    await expect(third).rejects.toBeInstanceOf(HostUnavailable);
    expect(started).toEqual(["one"]);
  });
});

describe("permits", () => {
  test("go round in the order of the requests, so many to one host", async () => {
    const hosts = bench({ perHost: 2 });
    const { started, send, end } = held(hosts);
    for (const name of ["a1", "a2", "a3", "a4"]) send(name);
    send("b1", b);
    await nextTurn();
    expect(started).toEqual(["a1", "a2", "b1"]);
    end("a2");
    await nextTurn();
    send("a5");
    expect(started).toEqual(["a1", "a2", "b1", "a3"]);
    end("a1");
    end("a3");
    await nextTurn();
    expect(started).toEqual(["a1", "a2", "b1", "a3", "a4", "a5"]);
  });

  test("are so many in all", async () => {
    const hosts = bench({ total: 2, perHost: 2 });
    const { started, send, end } = held(hosts);
    send("a1");
    send("b1", b);
    send("a2");
    send("c1", "https://c.test");
    await nextTurn();
    expect(started).toEqual(["a1", "b1"]);
    end("b1");
    await nextTurn();
    expect(started).toEqual(["a1", "b1", "a2"]);
  });

  test("are not waited for after an abort, and come back", async () => {
    const hosts = bench({ total: 1, perHost: 1 });
    const { started, send, end } = held(hosts);
    const stopping = new AbortController();
    send("one");
    const second = send("two", a, stopping.signal);
    const third = send("three");
    await nextTurn();
    stopping.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    end("one");
    await nextTurn();
    end("three");
    await third;
    expect(started).toEqual(["one", "three"]);
  });

  test("are not given once all was aborted", async () => {
    const hosts = bench();
    const { started, send } = held(hosts);
    await expect(send("late", a, AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
    expect(started).toEqual([]);
  });

  test("that an abort ends are no failures of the host", async () => {
    const hosts = bench({ downAfter: 1 });
    const { send, fail } = held(hosts);
    const stopping = new AbortController();
    const sending = send("one", a, stopping.signal);
    await nextTurn();
    stopping.abort(new Error("enough"));
    fail("one", new FetchError("connection_failed", "cut"));
    await expect(sending).rejects.toThrow("cut");
    expect(await hosts.pause()).toBe(0);
  });

  test("an abort ends the pause of a host", async () => {
    const hosts = createHosts({ total: 1, perHost: 1, coolDownMs: 1400, now: () => 1 });
    await expect(hosts.request(a, signal, () => Promise.reject(serverError))).rejects.toBe(serverError);
    const stopping = new AbortController();
    const waiting = hosts.request(a, stopping.signal, async () => {});
    stopping.abort();
    await expect(waiting).rejects.toThrow(/abort/i);
  });
});

test("room is four units for each request that may be in flight", () => {
  const hosts = bench({ perHost: 3 });
  expect([0, 5, 12, 20].map((inHand) => hosts.room(a, inHand))).toEqual([12, 7, 0, 0]);
});

test("a host that pauses has no room for units until the pause ends", async () => {
  const hosts = bench();
  await hosts.fail(serverError);
  expect(hosts.room(a, 0)).toBe(0);
  hosts.pass(2000);
  expect(hosts.room(a, 0)).toBe(4);
  await hosts.succeed();
  expect(hosts.room(a, 0)).toBe(12);
});
