import { setTimeout as sleep } from "node:timers/promises";
import { isValidDid } from "@atproto/syntax";
import type { Database } from "../../core/db/database.ts";
import { databaseNow } from "../../core/db/now.ts";
import { explain } from "../../core/errors.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import type { Logger } from "../../core/index.ts";
import { getJson, xrpcUrl } from "./answer.ts";
import { FetchError, toFailure } from "./failure.ts";
import type { Units } from "./units.ts";

export interface DiscoveryParts {
  db: Database;
  fetch: OutgoingFetch;
  units: Pick<Units, "add" | "left">;
  log: Logger;
  relayUrl: string;
  jobId: string;
  token: string;
  leaseMs: number;
  /** The first pause of a relay that does not answer; it doubles. */
  retryMs: number;
  /** Waits while more units than this are unfinished. */
  window: number;
  signal: AbortSignal;
  /** New units are in the database. */
  found(): void;
}

const parallelCollections = 5;
const pageSize = 1000;
const maxAttempts = 8;
/** A relay that repeats cursors for ever is told from one that is large. */
const maxCursors = 200_000;

/**
 * Asks the relay who has records of each collection, page by page; the relay's cursor is stored with what its page
 * brought. One process does it for a job; another goes on when that one is gone.
 */
export async function discover(parts: DiscoveryParts): Promise<void> {
  const { db, jobId, signal } = parts;
  for (;;) {
    signal.throwIfAborted();
    if (await holdJob(parts)) break;
    if (!(await isLeft(db, jobId))) return;
    await sleep(Math.min(parts.leaseMs / 2, 1000), undefined, { signal });
  }
  const beat = setInterval(() => void holdJob(parts).catch(() => {}), parts.leaseMs / 3);
  try {
    const rows = await db.all<{ collection: string; cursor: string | null }>(
      "SELECT collection, cursor FROM happyview_backfill_discovery WHERE job_id = ? AND status = 'pending' ORDER BY collection",
      [jobId],
    );
    const queue = rows.values();
    const crew = Array.from({ length: parallelCollections }, async () => {
      for (const { collection, cursor } of queue)
        await discoverCollection(parts, collection, cursor ?? undefined);
    });
    await Promise.all(crew);
  } finally {
    clearInterval(beat);
    await letGoOfJob(parts).catch(() => {}); // then the lease ends it
  }
}

/** All that a job asks for. */
export async function collectionsOf(db: Database, jobId: string): Promise<string[]> {
  const rows = await db.all<{ collection: string }>(
    "SELECT collection FROM happyview_backfill_discovery WHERE job_id = ? ORDER BY collection",
    [jobId],
  );
  return rows.map(({ collection }) => collection);
}

/** Whether somebody may still be found. */
export async function isLeft(db: Database, jobId: string): Promise<boolean> {
  const row = await db.get(
    "SELECT 1 AS one FROM happyview_backfill_discovery WHERE job_id = ? AND status = 'pending' LIMIT 1",
    [jobId],
  );
  return row !== undefined;
}

/** Who does what one process alone does for a job. */
export type JobLease = Pick<DiscoveryParts, "db" | "jobId" | "token" | "leaseMs">;

/** True while this process is that one. */
export async function holdJob({ db, jobId, token, leaseMs }: JobLease): Promise<boolean> {
  const now = databaseNow(db);
  const changed = await db.run(
    `UPDATE happyview_backfill_jobs SET discovered_by = ?, discovery_lease = ${now} + ${Math.round(leaseMs)}
     WHERE id = ? AND (discovered_by = ? OR discovery_lease IS NULL OR discovery_lease < ${now})`,
    [token, jobId, token],
  );
  return changed > 0;
}

/** Whoever goes on need not wait for the lease to end. */
export async function letGoOfJob({ db, jobId, token }: JobLease): Promise<void> {
  await db.run(
    "UPDATE happyview_backfill_jobs SET discovered_by = NULL, discovery_lease = NULL WHERE id = ? AND discovered_by = ?",
    [jobId, token],
  );
}

async function discoverCollection(
  parts: DiscoveryParts,
  collection: string,
  from: string | undefined,
): Promise<void> {
  const { db, units, jobId, signal } = parts;
  const seen = new Set<string>();
  let cursor = from;
  do {
    await room(parts);
    const page = await pageOf(parts, collection, cursor);
    if (typeof page === "string") {
      await settle(db, jobId, collection, "failed", page);
      return;
    }
    const isCircle = page.cursor !== undefined && (seen.has(page.cursor) || seen.size >= maxCursors);
    await db.transaction(async (tx) => {
      await units.add(tx, jobId, collection, page.dids);
      await tx.run("UPDATE happyview_backfill_discovery SET cursor = ? WHERE job_id = ? AND collection = ?", [
        page.cursor ?? null,
        jobId,
        collection,
      ]);
    });
    parts.found();
    if (isCircle) {
      await settle(db, jobId, collection, "failed", "the relay repeats its cursors");
      return;
    }
    cursor = page.cursor;
    if (cursor !== undefined) seen.add(cursor);
    signal.throwIfAborted();
  } while (cursor !== undefined);
  await settle(db, jobId, collection, "done", null);
}

/** Discovery does not run ahead of the fetching without end. */
async function room({ units, jobId, window, signal }: DiscoveryParts): Promise<void> {
  while ((await units.left(jobId)) >= window) await sleep(500, undefined, { signal });
}

/** A page, or why there is none after all attempts. */
async function pageOf(
  { fetch, relayUrl, log, retryMs, signal }: DiscoveryParts,
  collection: string,
  cursor: string | undefined,
): Promise<{ dids: string[]; cursor: string | undefined } | string> {
  const params = { collection, limit: String(pageSize), cursor };
  const url = xrpcUrl(relayUrl.replace(/\/$/, ""), "com.atproto.sync.listReposByCollection", params);
  for (let attempt = 1; ; attempt++) {
    try {
      return readPage(await getJson(fetch, url, signal));
    } catch (error) {
      signal.throwIfAborted();
      const { kind, retryable, message, waitMs } = toFailure(error);
      if (!retryable || attempt >= maxAttempts * (kind === "rate_limited" ? 4 : 1)) return message;
      log.warn("the relay does not answer; trying again", { collection, attempt, error: explain(error) });
      await sleep(waitMs ?? Math.min(retryMs * 2 ** (attempt - 1), 30_000), undefined, { signal });
    }
  }
}

function readPage(answer: Record<string, unknown>): { dids: string[]; cursor: string | undefined } {
  const { repos, cursor } = answer;
  // Not an empty list, which is an end: what is no answer must not make a job complete.
  if (!Array.isArray(repos) || (cursor != null && typeof cursor !== "string"))
    throw new FetchError("invalid_response", "the relay does not answer with a list of repos and a cursor");
  const entries: unknown[] = repos;
  const dids = entries.flatMap((entry) => {
    const did = typeof entry === "object" && entry !== null && "did" in entry ? entry.did : undefined;
    return typeof did === "string" && isValidDid(did) ? [did] : [];
  });
  const isLast = entries.length === 0 || typeof cursor !== "string" || cursor === "";
  return { dids, cursor: isLast ? undefined : cursor };
}

async function settle(
  db: Database,
  jobId: string,
  collection: string,
  status: "done" | "failed",
  error: string | null,
): Promise<void> {
  await db.run(
    "UPDATE happyview_backfill_discovery SET status = ?, error = ? WHERE job_id = ? AND collection = ?",
    [status, error, jobId, collection],
  );
}
