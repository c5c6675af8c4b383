import type { CommitEvent, PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import { unlessAborted } from "./abort.ts";
import { blamesHost, FetchError, toFailure } from "./failure.ts";
import { getRepo } from "./get-repo.ts";
import { HostUnavailable, type Hosts } from "./hosts.ts";
import { currentRev, isGone, listRecords } from "./list-records.ts";
import type { Method } from "./plan.ts";
import type { Room } from "./room.ts";
import type { Progress, Unit } from "./unit.ts";
import { removeVanished } from "./vanished.ts";

export interface WorkParts {
  db: PluginApp["db"];
  /** All that the job asks for: an export has them all, wherever the account was found so far. */
  collections: readonly string[];
  identity: PluginApp["identity"];
  pipeline: Pick<Pipeline, "ingestMany">;
  fetch: OutgoingFetch;
  hosts: Pick<Hosts, "request">;
  /** For exports. */
  room: Room;
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
  if (!unit.progress) unit.records = 0; // all of it is counted once more
  const todo = (): string[] => unit.collections.filter((name) => !unit.progress?.done.includes(name));
  const isTaken =
    method === "getRepo" && todo().length > 0 && !unit.progress?.at && (await takeRepo(unit, parts));
  if (!isTaken) {
    const ask = { pds: unit.pdsEndpoint, did: unit.did };
    unit.progress ??= {
      rev: await request(unit, parts, () => currentRev(parts.fetch, ask, parts.signal)),
      done: [],
    };
    for (const collection of todo()) await listCollection(unit, unit.progress, collection, parts);
  }
  const rejected = unit.progress?.rejected ?? 0;
  if (rejected === 0) return;
  unit.progress = null; // whoever tries again lists it once more
  throw new FetchError("cid_mismatch", `${rejected} records of ${unit.did} are not what their CIDs say`);
}

/** False for a repo that is too large, or too slow, to be taken whole. */
async function takeRepo(unit: Unit & { pdsEndpoint: string }, parts: WorkParts): Promise<boolean> {
  const { did, pdsEndpoint: pds } = unit;
  const done = unit.progress?.done ?? [];
  const collections = parts.collections.filter((name) => !done.includes(name));
  const { signingKey } = await unlessAborted(parts.signal, parts.identity.resolve(did));
  if (!signingKey) throw new FetchError("did_doc_invalid", `the DID document of ${did} has no signing key`);
  const repo = await request(unit, parts, () =>
    getRepo(parts.fetch, { pds, did, collections, signingKey }, parts.room, parts.signal),
  );
  if (!repo) return false;
  const present = new Set<string>();
  let chunk: CommitEvent[] = [];
  let rejected = unit.progress?.rejected ?? 0;
  try {
    for await (const event of repo.events()) {
      present.add(`${event.collection}/${event.rkey}`);
      chunk.push(event);
      if (chunk.length < chunkSize) continue;
      rejected += await takeIn(unit, chunk, parts);
      chunk = [];
    }
    rejected += await takeIn(unit, chunk, parts);
  } finally {
    repo.release();
  }
  for (const collection of collections) {
    const gone = async (rkey: string): Promise<boolean> => !present.has(`${collection}/${rkey}`);
    unit.removed += await removeVanished(parts, { did, collection, rev: repo.rev }, gone);
  }
  unit.progress = { rev: repo.rev, done: [...done, ...collections], rejected };
  return true;
}

async function listCollection(
  unit: Unit & { pdsEndpoint: string },
  progress: Progress,
  collection: string,
  parts: WorkParts,
): Promise<void> {
  const { did, pdsEndpoint: pds } = unit;
  const { fetch, signal } = parts;
  const { rev, done } = progress;
  let { rejected = 0 } = progress;
  const advance = (next: Pick<Progress, "done" | "at">): void => {
    unit.progress = { rev, rejected, ...next };
    unit.attempts = 0;
    parts.advanced(unit);
  };
  const seen = new Set<string>();
  let cursor = progress.at?.collection === collection ? progress.at.cursor : undefined;
  for (let pages = 0; cursor !== null; pages++) {
    const ask = { pds, did, collection, rev, cursor };
    const page = await request(unit, parts, () => listRecords(fetch, ask, signal));
    rejected += await takeIn(unit, page.events, parts);
    cursor = page.cursor ?? null;
    if (cursor !== null && (seen.has(cursor) || pages >= maxPages))
      throw new FetchError("invalid_response", `${pds} lists ${collection} of ${did} in a circle`, {
        isFinal: true,
      });
    if (cursor !== null) seen.add(cursor);
    advance({ done, at: { collection, cursor } });
  }
  const gone = (rkey: string): Promise<boolean> =>
    request(unit, parts, () => isGone(fetch, { pds, did, collection, rkey }, signal));
  unit.removed += await removeVanished(parts, { did, collection, rev }, gone);
  advance({ done: [...done, collection] });
}

/** How many records were not acceptable; the others are stored, or left out by a script. */
async function takeIn(
  unit: Unit,
  events: readonly CommitEvent[],
  { pipeline, signal }: WorkParts,
): Promise<number> {
  const { stored, rejected } = await unlessAborted(signal, pipeline.ingestMany(events));
  unit.records += stored;
  return rejected;
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
      const failure = toFailure(error);
      if (!blamesHost(failure) || failure.kind === "rate_limited" || tries >= triesPerRequest) throw error;
    }
  }
}
