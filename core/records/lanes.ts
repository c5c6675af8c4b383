import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../errors.ts";
import type { Events } from "../events.ts";
import { isObject } from "../lexicons/document.ts";
import type { Logger } from "../log.ts";
import type { Entry } from "./backlog.ts";
import { atUri, lexiconSchema, type CommitEvent, type SourceEvent } from "./change.ts";
import type { RecordBeforeEvent, RecordInterceptor } from "./intercept.ts";

/**
 * Where events wait for interceptors. A repo has a lane while one of its events waits; later events of the repo queue
 * behind it, events of other repos pass by.
 */
export interface Lanes {
  intercept(interceptor: RecordInterceptor): void;
  /** True when the event waits in a lane and comes out later; false when nothing holds it up. */
  take(entry: Entry): boolean;
}

export interface LanesParts {
  limits: { maxIntercepts: number; maxLaneWaitMs: number };
  interceptors: RecordInterceptor[];
  /** Aborts when the server stops: what is still in a lane then is not done. */
  signal: AbortSignal;
  /** Whether something newer is known: side effects must not repeat for old news. */
  isStale(event: CommitEvent, uri: string): Promise<boolean>;
  /** An event comes out of its lane and is to be stored. */
  goOn(entry: Entry): void;
  /** An event comes out of its lane and is not stored: an interceptor skips it, or the index has something newer. */
  leaveOut(entry: Entry, reason: "skipped" | "stale"): void;
  events: Events;
  log: Logger;
}

interface Lane {
  queue: Entry[];
  /** Spent between attempts so far. */
  waitedMs: number;
}

export function createLanes(parts: LanesParts): Lanes {
  const { limits, interceptors, signal, isStale, goOn, leaveOut, events, log } = parts;
  const lanes = new Map<string, Lane>();
  const slots = createSlots(limits.maxIntercepts);

  function wanted(event: SourceEvent): RecordInterceptor[] {
    if (event.kind !== "commit" || event.collection === lexiconSchema) return [];
    return interceptors.filter((interceptor) => interceptor.wants(event.action, event.collection));
  }

  async function run(did: string, lane: Lane): Promise<void> {
    for (let entry = lane.queue[0]; entry && !signal.aborted; entry = lane.queue[0]) {
      const { event } = entry;
      const todo = wanted(event);
      let outcome: SourceEvent | "skipped" | "stale" = event;
      if (event.kind === "commit" && todo.length > 0) {
        if (await untilAnswered(() => isStale(event, uriOf(event)))) outcome = "stale";
        else {
          await slots.take();
          outcome = await handle(event, todo, lane).finally(slots.free);
        }
        if (signal.aborted) return; // not done: the position stays before it
      }
      lane.queue.shift();
      if (typeof outcome === "string") leaveOut(entry, outcome);
      else goOn(Object.assign(entry, { event: outcome }));
    }
    lanes.delete(did);
  }

  /** The event to store, or why it is not. */
  async function handle(
    event: CommitEvent,
    todo: RecordInterceptor[],
    lane: Lane,
  ): Promise<CommitEvent | "skipped"> {
    const { did, collection, rkey } = event;
    const uri = uriOf(event);
    let { record, text } = event;
    let skipped: string | undefined;
    try {
      for (const interceptor of todo) {
        const before: RecordBeforeEvent = {
          ...event,
          uri,
          record,
          replace(body, json) {
            if (!isObject(body)) throw new Error("a record is a JSON object; what replaces it is none");
            text = json ?? JSON.stringify(body); // throws here, where the record as it was can still be stored
            record = body;
          },
          wait: (ms) => waitOutside(lane, ms),
          skip: (reason) => (skipped = reason),
        };
        await interceptor.handle(before, signal);
        if (skipped !== undefined) break;
      }
    } catch (error) {
      // Fail open, as HappyView's record scripts do (lua §1.5): a broken interceptor must not lose records.
      log.error("an interceptor failed; the record goes on as it is", { uri, error: explain(error) });
      return event;
    }
    if (skipped === undefined) return event.action === "delete" ? event : { ...event, record, text };
    events.emit({ type: "record.skipped", subject: uri, detail: { collection, did, rkey, reason: skipped } });
    return "skipped";
  }

  async function waitOutside(lane: Lane, ms: number): Promise<void> {
    if (lane.waitedMs >= limits.maxLaneWaitMs) return;
    lane.waitedMs += ms;
    slots.free();
    try {
      await sleep(ms, undefined, { ref: false, signal });
    } finally {
      await slots.take();
    }
  }

  /** While the database is away nothing can be stored either: waiting keeps the record from passing its interceptors. */
  async function untilAnswered(ask: () => Promise<boolean>): Promise<boolean> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        return await ask();
      } catch (error) {
        log.error("the database does not answer; trying again", { attempt, error: explain(error) });
        await backOff(attempt, signal);
      }
    }
    return true;
  }

  return {
    intercept: (interceptor) => void interceptors.push(interceptor),
    take(entry) {
      const { did } = entry.event;
      const lane = lanes.get(did);
      if (lane) {
        lane.queue.push(entry);
        return true;
      }
      if (wanted(entry.event).length === 0) return false;
      const opened: Lane = { queue: [entry], waitedMs: 0 };
      lanes.set(did, opened);
      void run(did, opened);
      return true;
    },
  };
}

/** Waits longer with each attempt, 10 s at most; an abort ends the wait. */
export async function backOff(attempt: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(200 * 2 ** attempt, 10_000), undefined, { ref: false, signal }).catch(() => {});
}

function uriOf({ did, collection, rkey }: CommitEvent): string {
  return atUri(did, collection, rkey);
}

/** So many may run at once; whoever waits goes when another is through. */
function createSlots(count: number): { take(): Promise<void>; free(): void } {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    async take() {
      while (running >= count) await new Promise<void>((go) => waiting.push(go));
      running += 1;
    },
    free() {
      running -= 1;
      waiting.shift()?.();
    },
  };
}
