import type { Queries } from "../../core/db/database.ts";
import { HttpError, type Origin, type PluginApp } from "../../core/index.ts";
import { lockOf, removeSome } from "./store.ts";

/**
 * What of a labeler's labels is here: `complete` when its stream was read from the first message to the newest one,
 * `reading` on the way there, `partial` when messages were missed.
 */
export type History = "reading" | "complete" | "partial";

export interface Subscription {
  did: string;
  /** The last message whose labels are stored; null before the first. */
  cursor: number | null;
  /** Only `active` ones are read (sync-and-xrpc §5.1). */
  status: string;
  history: History;
  origin: Origin;
  configHash: string | null;
  createdAt: string;
  updatedAt: string;
}

/** How far a stream was read. */
export interface Reached {
  /** Null before the first message. */
  seq: number | null;
  /** Messages before it were missed. */
  hasGap: boolean;
}

export interface Subscriptions {
  /** All of them in the order of their making, as this process saw them last; never waits. */
  all(): readonly Subscription[];
  /** Looks at the database: other processes change them, too. */
  refresh(): Promise<void>;
  get(did: string): Promise<Subscription | undefined>;
  /** One that exists becomes active again and goes on where it was. @throws HttpError 400 when there are too many */
  add(did: string, by: { origin: Origin; configHash?: string | null }): Promise<void>;
  setStatus(did: string, status: string): Promise<boolean>;
  /** Ends it; its labels go by `finishRemovals`. False when there is none. */
  remove(did: string): Promise<boolean>;
  /** Deletes the labels of what was removed, some at a time. */
  finishRemovals(signal?: AbortSignal): Promise<void>;
  /** Whether labels of it may be stored; inside a transaction that holds its lock. */
  isActive(tx: Queries, did: string): Promise<boolean>;
  reached(tx: Queries, did: string, at: Reached): Promise<void>;
  /** Its stream is at the newest message. */
  caughtUp(did: string): Promise<void>;
  /** The labeler counts its messages anew: reads it from the first one. */
  startOver(did: string): Promise<void>;
}

interface Row {
  did: string;
  cursor: number | null;
  status: string;
  history: string;
  origin: string;
  config_hash: string | null;
  created_at: string;
  updated_at: string;
}

const table = "happyview_labeler_subscriptions";
const isLive = "removed_at IS NULL";

/** Deletions of one transaction; more would hold up others on SQLite. */
const removalsAtOnce = 2000;

export async function createSubscriptions(
  { db, clock }: Pick<PluginApp, "db" | "clock">,
  max: number,
): Promise<Subscriptions> {
  let known: readonly Subscription[] = [];

  async function refresh(): Promise<void> {
    const rows = await db.all<Row>(`SELECT * FROM ${table} WHERE ${isLive} ORDER BY created_at, did`);
    known = rows.map(toSubscription);
  }

  async function finishRemoval(did: string, signal: AbortSignal | undefined): Promise<void> {
    let isMore = true;
    while (isMore && !signal?.aborted)
      isMore = await db.transaction(async (tx) => {
        await tx.lock([lockOf(did)]);
        // It may have been added again meanwhile.
        const row = await tx.get(`SELECT did FROM ${table} WHERE did = ? AND removed_at IS NOT NULL`, [did]);
        if (!row) return false;
        if (await removeSome(tx, did, removalsAtOnce)) return true;
        await tx.run(`DELETE FROM ${table} WHERE did = ?`, [did]);
        return false;
      });
  }

  await refresh();
  return {
    all: () => known,
    refresh,
    async get(did) {
      const row = await db.get<Row>(`SELECT * FROM ${table} WHERE did = ? AND ${isLive}`, [did]);
      return row && toSubscription(row);
    },
    async add(did, { origin, configHash = null }) {
      const now = clock.timestamp();
      await db.transaction(async (tx) => {
        await tx.lock([lockOf(""), lockOf(did)]);
        const others = await tx.get<{ n: number }>(
          `SELECT count(*) AS n FROM ${table} WHERE ${isLive} AND did <> ?`,
          [did],
        );
        if ((others?.n ?? 0) >= max) throw new HttpError(400, `there are ${max} labelers already`);
        // One whose removal is not finished begins anew.
        await tx.run(
          `UPDATE ${table} SET cursor = NULL, history = 'reading' WHERE did = ? AND NOT ${isLive}`,
          [did],
        );
        await tx.run(
          `INSERT INTO ${table} (did, status, history, origin, config_hash, created_at, updated_at)
           VALUES (?, 'active', 'reading', ?, ?, ?, ?)
           ON CONFLICT (did) DO UPDATE SET status = 'active', removed_at = NULL, updated_at = excluded.updated_at`,
          [did, origin, configHash, now, now],
        );
        if (origin === "config")
          await tx.run(`UPDATE ${table} SET origin = 'config', config_hash = ? WHERE did = ?`, [
            configHash,
            did,
          ]);
      });
      await refresh();
    },
    async setStatus(did, status) {
      const changed = await db.run(
        `UPDATE ${table} SET status = ?, updated_at = ? WHERE did = ? AND ${isLive}`,
        [status, clock.timestamp(), did],
      );
      await refresh();
      return changed > 0;
    },
    async remove(did) {
      const removed = await db.transaction(async (tx) => {
        await tx.lock([lockOf(did)]);
        return tx.run(`UPDATE ${table} SET removed_at = ? WHERE did = ? AND ${isLive}`, [
          clock.timestamp(),
          did,
        ]);
      });
      await refresh();
      return removed > 0;
    },
    async finishRemovals(signal) {
      const rows = await db.all<{ did: string }>(`SELECT did FROM ${table} WHERE removed_at IS NOT NULL`);
      for (const { did } of rows) await finishRemoval(did, signal);
    },
    async isActive(tx, did) {
      const row = await tx.get(`SELECT did FROM ${table} WHERE did = ? AND status = 'active' AND ${isLive}`, [
        did,
      ]);
      return row !== undefined;
    },
    async reached(tx, did, { seq, hasGap }) {
      if (seq !== null)
        await tx.run(`UPDATE ${table} SET cursor = ? WHERE did = ? AND coalesce(cursor, -1) < ?`, [
          seq,
          did,
          seq,
        ]);
      if (hasGap) await tx.run(`UPDATE ${table} SET history = 'partial' WHERE did = ?`, [did]);
    },
    async caughtUp(did) {
      await db.run(`UPDATE ${table} SET history = 'complete' WHERE did = ? AND history = 'reading'`, [did]);
      await refresh();
    },
    async startOver(did) {
      await db.run(`UPDATE ${table} SET cursor = NULL, history = 'reading' WHERE did = ?`, [did]);
      await refresh();
    },
  };
}

function toSubscription(row: Row): Subscription {
  return {
    did: row.did,
    cursor: row.cursor,
    status: row.status,
    history: row.history === "complete" || row.history === "reading" ? row.history : "partial",
    origin: row.origin === "config" ? "config" : "admin",
    configHash: row.config_hash,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
