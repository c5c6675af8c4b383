import { setTimeout as sleep } from "node:timers/promises";
import { explain } from "../../core/errors.ts";
import { RefusedAnswer } from "../../core/http/answer.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { AppliedChange } from "../../core/index.ts";
import type { Logger } from "../../core/log.ts";
import { createBackoff } from "../firehose/backoff.ts";
import type { LabelerIdentities } from "./identities.ts";
import type { LabelIntake } from "./intake.ts";
import { queryLabels } from "./query.ts";
import type { Status } from "./status.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { NotSubscribed, type LabelWriter } from "./write.ts";

export interface ByUriParts {
  subscriptions: Pick<Subscriptions, "all">;
  identities: LabelerIdentities;
  intake: LabelIntake;
  write: LabelWriter;
  fetch: OutgoingFetch;
  status: Pick<Status, "byUri">;
  log: Logger;
  /** Unix milliseconds. */
  now: () => number;
  random?: (() => number) | undefined;
  /** URIs that wait for one labeler; further ones are left out. */
  maxWaiting: number;
}

export interface ByUri {
  /** Asks for the labels of records that were indexed; never waits. */
  indexed(changes: readonly AppliedChange[]): void;
  close(): Promise<void>;
}

/** The patterns of one request: so many, and so long that every server takes the URL. */
const maxPatterns = 25;
const maxPatternChars = 4000;
const maxAttempts = 5;
const maxWaitMs = 60_000;

/**
 * Labels by the URIs of records that are new here (sync-and-xrpc §5.3). Only of labelers whose stream was not read from
 * the first message to the newest: of the others every label is here already, also those of records that are not. One
 * request at a time for each labeler, from the labeler's own service.
 */
export function createByUri(parts: ByUriParts): ByUri {
  const { subscriptions, identities, intake, write, status, log } = parts;
  const stopping = new AbortController();
  const { signal } = stopping;
  const queues = new Map<string, Set<string>>();
  const running = new Map<string, Promise<void>>();
  /** Labelers whose last request failed: a log line for each request would be many. */
  const failing = new Set<string>();

  const incomplete = (): string[] =>
    subscriptions
      .all()
      .filter((subscription) => subscription.status === "active" && subscription.history !== "complete")
      .map(({ did }) => did);

  async function drain(did: string, queue: Set<string>): Promise<void> {
    while (queue.size > 0 && !signal.aborted) {
      if (!incomplete().includes(did)) return queue.clear();
      const uris = takeSome(queue);
      try {
        await askPatiently(did, uris);
        status.byUri("asked", uris.length);
        failing.delete(did);
      } catch (error) {
        if (signal.aborted) return;
        status.byUri("failed", uris.length);
        const detail = { labeler: did, records: uris.length, error: explain(error) };
        log[failing.has(did) ? "debug" : "warn"]("labels cannot be asked for by URI", detail);
        failing.add(did);
      }
    }
  }

  async function askPatiently(did: string, uris: readonly string[]): Promise<void> {
    const backoff = createBackoff({ maxMs: maxWaitMs, random: parts.random });
    for (let attempt = 1; ; attempt++) {
      try {
        // A labeler that does not answer may have moved.
        const { endpoint } = await (attempt === 1 ? identities.resolve(did) : identities.refresh(did));
        return await ask(endpoint, did, uris);
      } catch (error) {
        if (signal.aborted || isFinal(error) || attempt === maxAttempts) throw error;
        const askedMs = error instanceof RefusedAnswer ? error.waitMs : undefined;
        await sleep(askedMs ?? backoff.after({ openMs: 0, delivered: false }), undefined, {
          signal,
          ref: false,
        });
      }
    }
  }

  async function ask(endpoint: string, did: string, uris: readonly string[]): Promise<void> {
    const labels = await queryLabels(endpoint, { did, uris }, { ...parts, signal });
    await write(did, await intake(did, labels, signal), undefined, signal);
  }

  return {
    indexed(changes) {
      if (signal.aborted) return;
      for (const did of incomplete()) {
        const queue = queues.get(did) ?? new Set<string>();
        queues.set(did, queue);
        const wanted = changes.filter(({ action }) => action !== "delete").map(({ uri }) => uri);
        const taken = wanted.slice(0, Math.max(0, parts.maxWaiting - queue.size));
        for (const uri of taken) queue.add(uri);
        if (taken.length < wanted.length) status.byUri("dropped", wanted.length - taken.length);
        if (queue.size === 0 || running.has(did)) continue;
        running.set(
          did,
          drain(did, queue).finally(() => running.delete(did)),
        );
      }
    },
    async close() {
      stopping.abort(new Error("the server is stopping"));
      await Promise.all(running.values());
    },
  };
}

/** True for an answer that would be the same the next time. */
function isFinal(error: unknown): boolean {
  if (error instanceof NotSubscribed) return true;
  if (!(error instanceof RefusedAnswer)) return false;
  return error.status === 501 || (error.status < 500 && error.status !== 429);
}

function takeSome(queue: Set<string>): string[] {
  const uris: string[] = [];
  let chars = 0;
  for (const uri of queue) {
    chars += encodeURIComponent(uri).length;
    if (uris.length > 0 && (uris.length === maxPatterns || chars > maxPatternChars)) break;
    uris.push(uri);
    queue.delete(uri);
  }
  return uris;
}
