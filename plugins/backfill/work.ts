import type { CommitEvent, PluginApp } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { Intake, Pipeline } from "../../core/records/pipeline.ts";
import { unlessAborted } from "./abort.ts";
import { blamesHost, FetchError, toFailure } from "./failure.ts";
import { getRepo } from "./get-repo.ts";
import { HostUnavailable, type Hosts } from "./hosts.ts";
import { currentRev, isGone, listRecords } from "./list-records.ts";
import type { Method } from "./plan.ts";
import { maxRecordBytes } from "./record-size.ts";
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
  /** For what hosts send. */
  room: Room;
  signal: AbortSignal;
  /** The unit came further, durably. */
  advanced(unit: Unit): void;
}

/** A repo fetched whole is taken in by so many records at a time. */
const chunkSize = 500;
/** Of one unit: five million records, where its pages are full. */
const maxPages = 50_000;
const triesPerRequest = 3;
/** Keys of records that were listed and not stored; of what is beyond the host is asked singly. */
const maxRemembered = 100_000;

type Placed = Unit & { pdsEndpoint: string };

/**
 * Fetches what is left of one account and takes it in. The unit is changed as it goes on, each time after what was
 * fetched is durable; throws where it cannot go on.
 */
export async function workOn(unit: Placed, method: Method, parts: WorkParts): Promise<void> {
  if (unit.progress?.pds !== unit.pdsEndpoint) unit.progress = null;
  if (!unit.progress) unit.records = 0; // all of it is counted once more
  const todo = (): string[] => unit.collections.filter((name) => !unit.progress?.done.includes(name));
  const isTaken =
    method === "getRepo" && todo().length > 0 && !unit.progress?.at && (await takeRepo(unit, parts));
  if (!isTaken) {
    const ask = { pds: unit.pdsEndpoint, did: unit.did };
    unit.progress ??= {
      pds: unit.pdsEndpoint,
      rev: await request(unit, parts, () => currentRev(parts.fetch, ask, parts.signal)),
      done: [],
    };
    for (const collection of todo()) await listCollection(unit, unit.progress, collection, parts);
  }
  const { rejected = 0, oversized = 0 } = unit.progress ?? {};
  if (rejected + oversized === 0) return;
  unit.progress = null; // whoever tries again lists it once more
  const troubles = [
    ...(rejected > 0 ? [`${rejected} records of ${unit.did} are not what their CIDs say`] : []),
    ...(oversized > 0 ? [`${oversized} records of ${unit.did} are larger than ${maxRecordBytes} bytes`] : []),
  ];
  throw new FetchError(rejected > 0 ? "cid_mismatch" : "invalid_response", troubles.join("; "), {
    isFinal: true,
  });
}

/** False for a repo that is too large, or too slow, to be taken whole. */
async function takeRepo(unit: Placed, parts: WorkParts): Promise<boolean> {
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
  let { rejected = 0, oversized = 0 } = unit.progress ?? {};
  try {
    for await (const { key, event } of repo.records()) {
      present.add(key);
      if (event) chunk.push(event);
      else oversized += 1;
      if (chunk.length < chunkSize) continue;
      rejected += (await takeIn(unit, chunk, parts)).rejected;
      chunk = [];
    }
    rejected += (await takeIn(unit, chunk, parts)).rejected;
  } finally {
    repo.release();
  }
  for (const collection of collections) {
    const gone = async (rkey: string): Promise<boolean> => !present.has(`${collection}/${rkey}`);
    unit.removed += await removeVanished(parts, { did, collection, rev: repo.rev }, gone);
  }
  unit.progress = { pds, rev: repo.rev, done: [...done, ...collections], rejected, oversized };
  return true;
}

async function listCollection(
  unit: Placed,
  progress: Progress,
  collection: string,
  parts: WorkParts,
): Promise<void> {
  const { did, pdsEndpoint: pds } = unit;
  const { fetch, room, signal } = parts;
  const { rev, done } = progress;
  let { rejected = 0, oversized = 0, pages = 0 } = progress;
  const advance = (next: Pick<Progress, "done" | "at">): void => {
    unit.progress = { pds, rev, rejected, oversized, pages, ...next };
    unit.attempts = 0;
    parts.advanced(unit);
  };
  const refuse = (what: string): never => {
    unit.progress = null; // it has no end from here
    throw new FetchError("invalid_response", `${pds} lists ${collection} of ${did} ${what}`, {
      isFinal: true,
    });
  };
  const seen = new Set<string>();
  let before = new Set<string>();
  const left = new Set<string>();
  let cursor = progress.at?.collection === collection ? progress.at.cursor : undefined;
  while (cursor !== null) {
    if (++pages > maxPages) refuse(`in more than ${maxPages} pages`);
    const ask = { pds, did, collection, rev, cursor };
    const page = await request(unit, parts, () => listRecords(fetch, ask, room, signal));
    try {
      const intake = await takeIn(unit, page.events, parts);
      rejected += intake.rejected;
      // Their rows may be of an older rev, though they are there.
      if (intake.skipped + intake.rejected > 0 && left.size < maxRemembered)
        for (const { rkey } of page.events) left.add(rkey);
    } finally {
      page.release();
    }
    oversized += page.oversized;
    const next = page.cursor ?? null;
    const isNew = page.events.some(({ rkey }) => !before.has(rkey)) || page.oversized > 0;
    if (next !== null && (seen.has(next) || !isNew)) refuse("in a circle");
    before = new Set(page.events.map(({ rkey }) => rkey));
    if (next !== null) seen.add(next);
    cursor = next;
    advance({ done, at: { collection, cursor } });
  }
  const gone = async (rkey: string): Promise<boolean> =>
    !left.has(rkey) && request(unit, parts, () => isGone(fetch, { pds, did, collection, rkey }, signal));
  unit.removed += await removeVanished(parts, { did, collection, rev }, gone);
  advance({ done: [...done, collection] });
}

async function takeIn(
  unit: Unit,
  events: readonly CommitEvent[],
  { pipeline, signal }: WorkParts,
): Promise<Intake> {
  const intake = await unlessAborted(signal, pipeline.ingestMany(events));
  unit.records += intake.stored;
  return intake;
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
