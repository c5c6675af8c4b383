import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { PluginApp } from "../../core/index.ts";

export interface ApiKey {
  id: string;
  /** Null for keys that the instance's own key made. */
  userId: string | null;
  name: string;
  prefix: string;
  permissions: string[];
  createdAt: string;
  lastUsedAt: string | null;
  expiresAt: string | null;
  revokedAt: string | null;
}

/** `hv_…` keys: shown once, kept as their SHA-256. */
export interface ApiKeys {
  create(key: {
    userId: string | null;
    name: string;
    permissions: readonly string[];
    expiresAt?: string | undefined;
  }): Promise<ApiKey & { key: string }>;
  /** Newest first, revoked ones too. */
  list(userId: string | null): Promise<ApiKey[]>;
  /** A key that is valid now. */
  find(key: string): Promise<ApiKey | undefined>;
  used(id: string): Promise<void>;
  /** False when there is no such key, or it is revoked already. */
  revoke(id: string, userId: string | null): Promise<boolean>;
}

interface Row {
  id: string;
  user_id: string | null;
  name: string;
  key_prefix: string;
  permissions: string;
  created_at: string;
  last_used_at: string | null;
  expires_at: string | null;
  revoked_at: string | null;
}

const columns =
  "id, user_id, name, key_prefix, permissions, created_at, last_used_at, expires_at, revoked_at";
const prefixLength = 11;

export function createApiKeys({ db, clock }: Pick<PluginApp, "db" | "clock">): ApiKeys {
  const owned = (userId: string | null): { sql: string; params: string[] } =>
    userId === null ? { sql: "user_id IS NULL", params: [] } : { sql: "user_id = ?", params: [userId] };
  return {
    async create({ userId, name, permissions, expiresAt }) {
      const key = `hv_${randomBytes(16).toString("hex")}`;
      const row: Row = {
        id: randomUUID(),
        user_id: userId,
        name,
        key_prefix: key.slice(0, prefixLength),
        permissions: JSON.stringify(permissions),
        created_at: clock.timestamp(),
        last_used_at: null,
        expires_at: expiresAt ?? null,
        revoked_at: null,
      };
      await db.run(
        `INSERT INTO happyview_api_keys (id, user_id, name, key_hash, key_prefix, permissions, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        [row.id, userId, name, hash(key), row.key_prefix, row.permissions, row.created_at, row.expires_at],
      );
      return { ...toKey(row), key };
    },
    async list(userId) {
      const { sql, params } = owned(userId);
      const rows = await db.all<Row>(
        `SELECT ${columns} FROM happyview_api_keys WHERE ${sql} ORDER BY created_at DESC`,
        params,
      );
      return rows.map(toKey);
    },
    async find(key) {
      const row = await db.get<Row>(
        `SELECT ${columns} FROM happyview_api_keys WHERE key_hash = ? AND revoked_at IS NULL`,
        [hash(key)],
      );
      if (!row || (row.expires_at !== null && Date.parse(row.expires_at) <= clock.now())) return undefined;
      return toKey(row);
    },
    async used(id) {
      await db.run("UPDATE happyview_api_keys SET last_used_at = ? WHERE id = ?", [clock.timestamp(), id]);
    },
    async revoke(id, userId) {
      const { sql, params } = owned(userId);
      const changed = await db.run(
        `UPDATE happyview_api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL AND ${sql}`,
        [clock.timestamp(), id, ...params],
      );
      return changed > 0;
    },
  };
}

function hash(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function toKey(row: Row): ApiKey {
  return {
    id: row.id,
    userId: row.user_id,
    name: row.name,
    prefix: row.key_prefix,
    permissions: JSON.parse(row.permissions) as string[], // written by create() alone
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  };
}
