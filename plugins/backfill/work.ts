import type { Intake, CommitEvent, PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import { FetchError, toFailure } from "./failure.ts";
import { getRepo, RepoTooLarge } from "./get-repo.ts";
import { HostUnavailable, type Hosts } from "./hosts.ts";
import { currentRev, isGone, listRecords } from "./list-records.ts";
import type { Method } from "./plan.ts";
import type { Progress, Unit } from "./unit.ts";
import { removeVanished } from "./vanished.ts";

export interface WorkParts {
  db: PluginApp["db"];
  identity: PluginApp["identity"];
  pipeline: Pick<Pipeline, "ingestMany">;
  fetch: OutgoingFetch;
  hosts: Pick<Hosts, "request">;
  signal: AbortSignal;
  /** The unit came further, durably. */
  advanced(unit: Unit): void;
}

/** A repo fetched whole is taken in by so many records at a time. */
const chunkSize = 500;
const maxPages = 100_000;
const triesPerRequest = 3;

/**
 * Fetches what is left of one account and takes it in. The unit is changed as it goes on, each time after what was
 * fetched is durable; throws where it cannot go on.
 */
export async function workOn(
  unit: Unit & { pdsEndpoint: string },
  method: Method,
  parts: WorkParts,
): Promise<void> {
  const todo = (): string[] => unit.collections.filter((name) => !unit.progress?.done.includes(name));
  if (method === "getRepo" && !unit.progress?.at) {
    try {
      return await takeRepo(unit, todo(), parts);
    } catch (error) {
      if (!(error instanceof RepoTooLarge)) throw error;
    }
  }
  const ask = { pds: unit.pdsEndpoint, did: unit.did };
  unit.progress ??= {
    rev: await request(unit, parts, () => currentRev(parts.fetch, ask, parts.signal)),
    done: [],
  };
  for (const collection of todo()) await listCollection(unit, unit.progress, collection, parts);
}

async function takeRepo(
  unit: Unit & { pdsEndpoint: string },
  collections: readonly string[],
  parts: WorkParts,
): Promise<void> {
  const { did, pdsEndpoint: pds } = unit;
  const { signingKey } = await parts.identity.resolve(did);
  if (!signingKey) throw new FetchError("did_doc_invalid", `the DID document of ${did} has no signing key`);
  const repo = await request(unit, parts, () =>
    getRepo(parts.fetch, { pds, did, collections, signingKey }, parts.signal),
  );
  const present = new Set<string>();
  let chunk: CommitEvent[] = [];
  for await (const event of repo.events()) {
    present.add(`${event.collection}/${event.rkey}`);
    chunk.push(event);
    if (chunk.length < chunkSize) continue;
    await takeIn(unit, chunk, parts);
    chunk = [];
  }
  await takeIn(unit, chunk, parts);
  for (const collection of collections) {
    const gone = async (rkey: string): Promise<boolean> => !present.has(`${collection}/${rkey}`);
    unit.removed += await removeVanished(parts, { did, collection, rev: repo.rev }, gone);
  }
  unit.progress = { rev: repo.rev, done: [...(unit.progress?.done ?? []), ...collections] };
}

async function listCollection(
  unit: Unit & { pdsEndpoint: string },
  progress: Progress,
  collection: string,
  parts: WorkParts,
): Promise<void> {
  const { did, pdsEndpoint: pds } = unit;
  const { fetch, signal } = parts;
  const { rev } = progress;
  const seen = new Set<string>();
  let cursor = progress.at?.collection === collection ? progress.at.cursor : undefined;
  for (let pages = 0; ; pages++) {
    const ask = { pds, did, collection, rev, cursor };
    const page = await request(unit, parts, () => listRecords(fetch, ask, signal));
    await takeIn(unit, page.events, parts);
    cursor = page.cursor;
    if (cursor === undefined) break;
    if (seen.has(cursor) || pages >= maxPages)
      throw new FetchError("invalid_response", `${pds} lists ${collection} of ${did} in a circle`);
    seen.add(cursor);
    unit.progress = { rev, done: progress.done, at: { collection, cursor } };
    parts.advanced(unit);
  }
  const gone = (rkey: string): Promise<boolean> =>
    request(unit, parts, () => isGone(fetch, { pds, did, collection, rkey }, signal));
  unit.removed += await removeVanished(parts, { did, collection, rev }, gone);
  unit.progress = { rev, done: [...progress.done, collection] };
}

async function takeIn(
  unit: Unit,
  events: readonly CommitEvent[],
  { pipeline, signal }: WorkParts,
): Promise<Intake> {
  const intake = await Promise.race([pipeline.ingestMany(events), aborted(signal)]);
  unit.records += intake.stored;
  unit.attempts = 0;
  if (intake.rejected === 0) return intake;
  // What is right of the page is stored; the rest may be right next time, when all is listed once more.
  unit.progress = null;
  throw new FetchError(
    "cid_mismatch",
    `${intake.rejected} of ${events.length} records of ${unit.did} are not what their CIDs say`,
  );
}

/** One request; a passing failure is tried again at once as the host allows, before it counts as an attempt. */
async function request<T>(
  { pdsEndpoint }: { pdsEndpoint: string },
  { hosts, signal }: WorkParts,
  send: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await hosts.request(pdsEndpoint, signal, send);
    } catch (error) {
      if (error instanceof HostUnavailable || signal.aborted) throw error;
      const { kind, retryable } = toFailure(error);
      if (!retryable || kind === "rate_limited" || tries >= triesPerRequest) throw error;
    }
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
