import { explain } from "../../core/errors.ts";
import type { CheckResult } from "../../core/health.ts";
import { isHttpError, type PluginApp } from "../../core/index.ts";
import type { Lexicon } from "../../core/lexicons/registry.ts";
import { refusalOf, type PublishedLexicon } from "./fetch.ts";
import { createSchedule } from "./schedule.ts";
import type { Addition, Serving } from "./serving.ts";

export interface Pace {
  /** Age at which a lexicon is read anew, in milliseconds; a tenth more or less. */
  refreshMs: number;
  /** After the first failure; doubles. Also the least time between two looks at one lexicon. */
  retryMs: number;
  maxRetryMs: number;
  /** Lexicons that are read at once. */
  concurrency: number;
}

export interface KeeperParts {
  app: Pick<PluginApp, "lexicons" | "clock" | "events" | "log">;
  serving: Serving;
  fetch(nsid: string): Promise<PublishedLexicon>;
  pace: Pace;
  /** In [0, 1). */
  random: () => number;
}

/** Reads network lexicons in the background: those that are declared until they are served, and all of them from time to time. */
export interface Keeper {
  /** Serves a lexicon as soon as its authority answers. */
  want(nsid: string, addition: Addition): void;
  /** Those that are not served yet. */
  wanted(): ReadonlyMap<string, Addition>;
  forget(nsid: string): void;
  /** Follows a lexicon that was put. */
  follow(lexicon: Lexicon): void;
  /** Looks at one next; `isDeleted` when somebody says that it is gone, which then ends it. */
  soon(nsid: string, isDeleted?: boolean): void;
  /** Its authority has taken it back. One of the config comes again when it is published again. */
  withdraw(known: Lexicon): Promise<void>;
  health(): CheckResult;
  start(): void;
  close(): Promise<void>;
}

interface State {
  visitedAt: number;
  failures: number;
  /** Why it could not be read, as it was told last. */
  reason?: string;
  isDeleted: boolean;
}

const maxShown = 20;

export function createKeeper({ app, serving, fetch, pace, random }: KeeperParts): Keeper {
  const { lexicons, clock, events, log } = app;
  const wanted = new Map<string, Addition>();
  const states = new Map<string, State>();
  const stopping = new AbortController();
  const { signal } = stopping;
  const schedule = createSchedule({ run: visit, concurrency: pace.concurrency, now: clock.now });

  function stateOf(nsid: string): State {
    const state = states.get(nsid) ?? { visitedAt: -Infinity, failures: 0, isDeleted: false };
    states.set(nsid, state);
    return state;
  }

  /** Gives the milliseconds until the next visit. */
  async function visit(nsid: string): Promise<number> {
    const known = lexicons.get(nsid);
    const addition = wanted.get(nsid);
    if (!addition && known?.source !== "network") return Infinity;
    const state = stateOf(nsid);
    state.visitedAt = clock.now();
    try {
      const found = await abortable(fetch(nsid), signal);
      // What was put meanwhile may be newer than what was read.
      if (lexicons.get(nsid) !== known || wanted.get(nsid) !== addition) return pace.retryMs;
      if (addition) await serving.add(found, addition);
      else if (known) await serving.update(known, found);
      if (state.reason !== undefined) log.info("a network lexicon can be read again", { nsid });
      Object.assign(state, { failures: 0, reason: undefined, isDeleted: false });
      return refreshIn();
    } catch (error) {
      if (signal.aborted) return Infinity;
      if (state.isDeleted && isGone(error) && lexicons.get(nsid) === known && known) return end(known);
      return failed(nsid, state, error);
    }
  }

  async function end(known: Lexicon): Promise<number> {
    try {
      await keeper.withdraw(known);
      return wanted.has(known.id) ? pace.retryMs : Infinity;
    } catch (error) {
      return failed(known.id, stateOf(known.id), error);
    }
  }

  function failed(nsid: string, state: State, error: unknown): number {
    const reason = explain(error).slice(0, 500);
    const doubled = Math.min(pace.maxRetryMs, pace.retryMs * 2 ** Math.min(state.failures, 32));
    const wait = Math.max(doubled * (0.5 + random() / 2), refusalOf(error)?.waitMs ?? 0);
    const isServed = !wanted.has(nsid);
    log[reason === state.reason ? "debug" : "warn"](
      isServed
        ? "a network lexicon cannot be read anew; what is known of it serves on"
        : "a network lexicon of the config cannot be read yet; trying again",
      { nsid, reason, failures: state.failures + 1, nextInMs: Math.round(wait) },
    );
    if (reason !== state.reason)
      events.emit({
        type: "lexicon.unresolved",
        severity: "warn",
        subject: nsid,
        detail: { reason, served: isServed },
      });
    Object.assign(state, { failures: state.failures + 1, reason });
    return wait;
  }

  const refreshIn = (): number => pace.refreshMs * (0.9 + random() / 5);

  const keeper: Keeper = {
    want(nsid, addition) {
      wanted.set(nsid, addition);
      keeper.soon(nsid);
    },
    wanted: () => wanted,
    forget(nsid) {
      wanted.delete(nsid);
      states.delete(nsid);
      schedule.remove(nsid);
    },
    follow({ id, lastFetchedAt }) {
      wanted.delete(id);
      const readAt = Math.min(lastFetchedAt === null ? -Infinity : Date.parse(lastFetchedAt), clock.now());
      schedule.at(id, Number.isNaN(readAt) ? clock.now() : readAt + refreshIn());
    },
    soon(nsid, isDeleted = false) {
      const state = stateOf(nsid);
      state.isDeleted ||= isDeleted;
      schedule.at(nsid, Math.max(clock.now(), state.visitedAt + pace.retryMs));
    },
    async withdraw(known) {
      const { id, origin, configHash, targetCollection, backfill } = known;
      await serving.remove(known, null);
      if (origin !== "config") return;
      const history = backfill ? { actor: null } : undefined;
      stateOf(id).visitedAt = clock.now();
      keeper.want(id, { targetCollection, backfill, origin, configHash, history, actor: null });
    },
    health() {
      const waiting = [...wanted.keys()];
      const failing = [...states].flatMap(([nsid, { reason }]) =>
        reason === undefined || wanted.has(nsid) ? [] : [nsid],
      );
      const served = lexicons.list().filter(({ source }) => source === "network").length;
      // What is known serves on, and what is not known yet keeps nothing else from serving.
      return {
        ok: true,
        detail: { served, waiting: waiting.slice(0, maxShown), failing: failing.slice(0, maxShown) },
      };
    },
    start() {
      for (const lexicon of lexicons.list()) if (lexicon.source === "network") keeper.follow(lexicon);
      schedule.start();
    },
    async close() {
      stopping.abort();
      await schedule.close();
    },
  };
  return keeper;
}

/** The host of the authority's repo says that there is no such record; any other refusal says nothing. */
function isGone(error: unknown): boolean {
  if (!isHttpError(error) || error.status !== 404) return false;
  const refusal = refusalOf(error);
  return refusal === undefined || refusal.error === "RecordNotFound";
}

/** Ends the waiting, not the work. */
function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
