import { randomUUID } from "node:crypto";
import type { PluginApp } from "../../core/index.ts";
import type { Queries } from "../../core/db/database.ts";
import { allPermissions } from "./permissions.ts";

export interface User {
  id: string;
  did: string;
  isSuper: boolean;
  permissions: string[];
  createdAt: string;
  lastUsedAt: string | null;
}

/** Who may use the admin API, and for what. */
export interface UserStore {
  /** Oldest first. */
  list(): Promise<User[]>;
  get(id: string): Promise<User | undefined>;
  byDid(did: string): Promise<User | undefined>;
  isEmpty(): Promise<boolean>;
  /** Undefined when the DID is a user already, or another one is super user. */
  add(user: {
    did: string;
    isSuper?: boolean;
    permissions: readonly string[];
    by: string | null;
  }): Promise<User | undefined>;
  /** Grants first, then revokes. */
  change(
    id: string,
    change: { grant: readonly string[]; revoke: readonly string[]; by: string | null },
  ): Promise<void>;
  remove(id: string): Promise<void>;
  transferSuper(from: string, to: string): Promise<void>;
  used(id: string): Promise<void>;
}

interface Row {
  id: string;
  did: string;
  is_super: number;
  created_at: string;
  last_used_at: string | null;
  permissions: string | null;
}

export function createUserStore({ db, clock }: Pick<PluginApp, "db" | "clock">): UserStore {
  const joined = db.dialect === "sqlite" ? "group_concat(permission, ' ')" : "string_agg(permission, ' ')";
  const select = `SELECT u.*, (SELECT ${joined} FROM happyview_user_permissions p WHERE p.user_id = u.id) AS permissions FROM happyview_users u`;
  const one = async (where: string, value: string): Promise<User | undefined> => {
    const row = await db.get<Row>(`${select} WHERE ${where} = ?`, [value]);
    return row && toUser(row);
  };
  const grant = (tx: Queries, id: string, keys: readonly string[], by: string | null): Promise<void> =>
    tx.insertMany(
      {
        table: "happyview_user_permissions",
        columns: { user_id: "text", permission: "text", granted_at: "text", granted_by: "text" },
        onConflict: "DO NOTHING",
      },
      [...new Set(keys)].map((key) => [id, key, clock.timestamp(), by]),
    );

  return {
    async list() {
      return (await db.all<Row>(`${select} ORDER BY u.created_at`)).map(toUser);
    },
    get: (id) => one("u.id", id),
    byDid: (did) => one("u.did", did),
    isEmpty: async () => (await db.get("SELECT 1 AS one FROM happyview_users LIMIT 1")) === undefined,
    async add({ did, isSuper = false, permissions, by }) {
      const id = randomUUID();
      const isNew = await db.transaction(async (tx) => {
        const added = await tx.run(
          "INSERT INTO happyview_users (id, did, is_super, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
          [id, did, isSuper, clock.timestamp()],
        );
        if (added > 0) await grant(tx, id, permissions, by);
        return added > 0;
      });
      return isNew ? this.get(id) : undefined;
    },
    async change(id, { grant: granted, revoke, by }) {
      await db.transaction(async (tx) => {
        await grant(tx, id, granted, by);
        for (const key of revoke)
          await tx.run("DELETE FROM happyview_user_permissions WHERE user_id = ? AND permission = ?", [
            id,
            key,
          ]);
      });
    },
    async remove(id) {
      await db.run("DELETE FROM happyview_users WHERE id = ?", [id]);
    },
    async transferSuper(from, to) {
      await db.transaction(async (tx) => {
        await tx.run("UPDATE happyview_users SET is_super = 0 WHERE id = ?", [from]);
        await tx.run("UPDATE happyview_users SET is_super = 1 WHERE id = ?", [to]);
        await grant(tx, to, allPermissions, from);
      });
    },
    async used(id) {
      await db.run("UPDATE happyview_users SET last_used_at = ? WHERE id = ?", [clock.timestamp(), id]);
    },
  };
}

function toUser(row: Row): User {
  return {
    id: row.id,
    did: row.did,
    isSuper: row.is_super === 1,
    permissions: (row.permissions ?? "").split(" ").filter(Boolean).toSorted(),
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}
