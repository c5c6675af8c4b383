import type { PluginApp } from "../../core/index.ts";
import type { Queries } from "../../core/db/database.ts";

export interface Subscription {
  did: string;
  /** The last message whose labels are stored; null before the first. */
  cursor: number | null;
  /** Only `active` ones are read (sync-and-xrpc §5.1). */
  status: string;
  origin: "config" | "admin";
  createdAt: string;
  updatedAt: string;
}

export interface Subscriptions {
  list(): Promise<Subscription[]>;
  get(did: string): Promise<Subscription | undefined>;
  /** An existing one becomes active again, and goes on where it was. */
  add(did: string, origin: "config" | "admin"): Promise<void>;
  setStatus(did: string, status: string): Promise<boolean>;
  /** With the labels that came of it. */
  remove(did: string): Promise<boolean>;
  moveCursor(tx: Queries, did: string, seq: number): Promise<void>;
}

interface Row {
  did: string;
  cursor: number | null;
  status: string;
  origin: string;
  created_at: string;
  updated_at: string;
}

export function createSubscriptions({ db, clock }: Pick<PluginApp, "db" | "clock">): Subscriptions {
  const select = "SELECT * FROM happyview_labeler_subscriptions";
  return {
    list: async () => (await db.all<Row>(`${select} ORDER BY created_at`)).map(toSubscription),
    async get(did) {
      const row = await db.get<Row>(`${select} WHERE did = ?`, [did]);
      return row && toSubscription(row);
    },
    async add(did, origin) {
      const now = clock.timestamp();
      await db.run(
        `INSERT INTO happyview_labeler_subscriptions (did, status, origin, created_at, updated_at)
         VALUES (?, 'active', ?, ?, ?)
         ON CONFLICT (did) DO UPDATE SET status = 'active', updated_at = excluded.updated_at`,
        [did, origin, now, now],
      );
    },
    async setStatus(did, status) {
      const changed = await db.run(
        "UPDATE happyview_labeler_subscriptions SET status = ?, updated_at = ? WHERE did = ?",
        [status, clock.timestamp(), did],
      );
      return changed > 0;
    },
    remove: (did) =>
      db.transaction(async (tx) => {
        const removed = await tx.run("DELETE FROM happyview_labeler_subscriptions WHERE did = ?", [did]);
        if (removed === 0) return false;
        await tx.run("DELETE FROM happyview_labels WHERE src = ?", [did]);
        await tx.run("DELETE FROM happyview_label_negations WHERE src = ?", [did]);
        return true;
      }),
    async moveCursor(tx, did, seq) {
      await tx.run(
        "UPDATE happyview_labeler_subscriptions SET cursor = ? WHERE did = ? AND coalesce(cursor, -1) < ?",
        [seq, did, seq],
      );
    },
  };
}

function toSubscription(row: Row): Subscription {
  return {
    did: row.did,
    cursor: row.cursor,
    status: row.status,
    origin: row.origin === "config" ? "config" : "admin",
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
