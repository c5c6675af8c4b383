import { randomUUID } from "node:crypto";
import type { PluginApp } from "../../core/index.ts";
import type { SqlValue } from "../../core/db/database.ts";
import {
  hashSecret,
  newClientKey,
  newClientSecret,
  toClient,
  type ApiClient,
  type ClientRow,
  type ClientType,
} from "./client.ts";

export interface NewClient {
  name: string;
  clientIdUrl: string;
  clientUri: string;
  redirectUris: readonly string[];
  scopes?: string | undefined;
  type?: ClientType | undefined;
  allowedOrigins?: readonly string[] | null | undefined;
  rateLimitCapacity?: number | null | undefined;
  rateLimitRefillRate?: number | null | undefined;
  createdBy: string | null;
  parentId?: string | null;
  ownerDid?: string | null;
  /** Given for a client of the config; made up otherwise. */
  clientKey?: string | undefined;
  /** Given for a client of the config; made up for confidential ones otherwise. */
  secret?: string | undefined;
  origin?: "config" | "admin";
}

export type ClientChange = Partial<
  Pick<
    NewClient,
    | "name"
    | "clientUri"
    | "redirectUris"
    | "scopes"
    | "allowedOrigins"
    | "rateLimitCapacity"
    | "rateLimitRefillRate"
  >
> & {
  isActive?: boolean | undefined;
  secret?: string | undefined;
  /** With a secret when it becomes confidential. */
  type?: ClientType | undefined;
};

export interface ApiClients {
  /** Undefined when the client_id is registered already. */
  create(client: NewClient): Promise<{ client: ApiClient; secret: string | undefined } | undefined>;
  get(id: string): Promise<ApiClient | undefined>;
  /** An active client; answered from memory for a second. */
  find(clientKey: string): Promise<ApiClient | undefined>;
  byClientId(clientIdUrl: string): Promise<ApiClient | undefined>;
  /** Newest first. */
  list(of?: { parentId: string } | { ownerDid: string } | { origin: "config" }): Promise<ApiClient[]>;
  /** What is undefined stays, null takes it away; deactivating a client deactivates its children. */
  change(id: string, change: ClientChange): Promise<void>;
  /** With its children, keys and sessions. */
  remove(id: string): Promise<void>;
  /** Hears of clients that are about to be removed, a client before its children; what it returns is called when they are. */
  beforeRemove(listener: (ids: readonly string[]) => Promise<() => void>): void;
}

const rememberMs = 1000;
const maxRemembered = 10_000;

export function createApiClients({ db, clock }: Pick<PluginApp, "db" | "clock">): ApiClients {
  const remembered = new Map<string, { client: ApiClient | undefined; at: number }>();
  const listeners: Parameters<ApiClients["beforeRemove"]>[0][] = [];
  const one = async (column: string, value: string): Promise<ApiClient | undefined> => {
    const row = await db.get<ClientRow>(`SELECT * FROM happyview_api_clients WHERE ${column} = ?`, [value]);
    return row && toClient(row);
  };

  return {
    async create(input) {
      const { type = "confidential", clientKey = newClientKey() } = input;
      const secret = type === "confidential" ? (input.secret ?? newClientSecret()) : undefined;
      const at = clock.timestamp();
      const values: Record<string, SqlValue> = {
        id: randomUUID(),
        client_key: clientKey,
        client_secret_hash: secret === undefined ? "" : hashSecret(secret),
        name: input.name,
        client_id_url: input.clientIdUrl,
        client_uri: input.clientUri,
        redirect_uris: JSON.stringify(input.redirectUris),
        scopes: input.scopes ?? "atproto",
        client_type: type,
        allowed_origins: input.allowedOrigins ? JSON.stringify(input.allowedOrigins) : null,
        rate_limit_capacity: input.rateLimitCapacity ?? null,
        rate_limit_refill_rate: input.rateLimitRefillRate ?? null,
        created_by: input.createdBy,
        created_at: at,
        updated_at: at,
        parent_client_id: input.parentId ?? null,
        owner_did: input.ownerDid ?? null,
        origin: input.origin ?? "admin",
      };
      const columns = Object.keys(values);
      const added = await db.run(
        `INSERT INTO happyview_api_clients (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")}) ON CONFLICT DO NOTHING`,
        Object.values(values),
      );
      remembered.delete(clientKey);
      const client = added === 0 ? undefined : await one("client_key", clientKey);
      return client && { client, secret };
    },
    get: (id) => one("id", id),
    async find(clientKey) {
      const known = remembered.get(clientKey);
      if (known && clock.now() - known.at < rememberMs) return known.client;
      const client = await one("client_key", clientKey);
      const active = client?.isActive ? client : undefined;
      if (remembered.size >= maxRemembered) remembered.clear();
      remembered.set(clientKey, { client: active, at: clock.now() });
      return active;
    },
    byClientId: (url) => one("client_id_url", url),
    async list(of) {
      const [column, value] = of ? (Object.entries(of)[0] ?? []) : [];
      const columns: Record<string, string> = {
        parentId: "parent_client_id",
        ownerDid: "owner_did",
        origin: "origin",
      };
      const where = column === undefined ? "" : `WHERE ${columns[column]} = ?`;
      const rows = await db.all<ClientRow>(
        `SELECT * FROM happyview_api_clients ${where} ORDER BY created_at DESC`,
        value === undefined ? [] : [value],
      );
      return rows.map(toClient);
    },
    async change(id, change) {
      const values: Record<string, SqlValue | undefined> = {
        name: change.name,
        client_uri: change.clientUri,
        redirect_uris: change.redirectUris && JSON.stringify(change.redirectUris),
        scopes: change.scopes,
        allowed_origins: change.allowedOrigins && JSON.stringify(change.allowedOrigins),
        rate_limit_capacity: change.rateLimitCapacity,
        rate_limit_refill_rate: change.rateLimitRefillRate,
        is_active: change.isActive,
        client_type: change.type,
        client_secret_hash: change.secret === undefined ? undefined : hashSecret(change.secret),
        updated_at: clock.timestamp(),
      };
      const given = Object.entries(values).flatMap(([column, value]) =>
        value === undefined ? [] : [[column, value] as const],
      );
      await db.transaction(async (tx) => {
        await tx.run(
          `UPDATE happyview_api_clients SET ${given.map(([column]) => `${column} = ?`).join(", ")} WHERE id = ?`,
          [...given.map(([, value]) => value), id],
        );
        if (change.isActive === false)
          await tx.run("UPDATE happyview_api_clients SET is_active = 0 WHERE parent_client_id = ?", [id]);
      });
      remembered.clear();
    },
    async remove(id) {
      const children = await db.all<{ id: string }>(
        "SELECT id FROM happyview_api_clients WHERE parent_client_id = ?",
        [id],
      );
      const ids = [id, ...children.map((child) => child.id)];
      const removed = await Promise.all(listeners.map((listener) => listener(ids)));
      await db.run("DELETE FROM happyview_api_clients WHERE id = ?", [id]);
      remembered.clear();
      for (const tell of removed) tell();
    },
    beforeRemove: (listener) => void listeners.push(listener),
  };
}
