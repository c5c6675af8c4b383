import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { PluginApp } from "../../core/index.ts";

export type ClientType = "confidential" | "public";

/** An app that may act for users of this instance (auth §1.1). */
export interface ApiClient {
  id: string;
  /** `hvc_…`, which every request of the app carries. */
  clientKey: string;
  /** SHA-256 of `hvs_…`; empty for public clients. */
  secretHash: string;
  name: string;
  /** The OAuth client_id that the app uses at PDSes. */
  clientIdUrl: string;
  clientUri: string;
  redirectUris: string[];
  /** Separated by spaces. */
  scopes: string;
  type: ClientType;
  allowedOrigins: string[] | null;
  rateLimitCapacity: number | null;
  /** Tokens a second. */
  rateLimitRefillRate: number | null;
  isActive: boolean;
  createdBy: string | null;
  createdAt: string;
  updatedAt: string;
  /** Of a client that a user of another client made. */
  parentId: string | null;
  ownerDid: string | null;
}

export interface ClientRow {
  id: string;
  client_key: string;
  client_secret_hash: string;
  name: string;
  client_id_url: string;
  client_uri: string;
  redirect_uris: string;
  scopes: string;
  client_type: string;
  allowed_origins: string | null;
  rate_limit_capacity: number | null;
  rate_limit_refill_rate: number | null;
  is_active: number;
  created_by: string | null;
  created_at: string;
  updated_at: string;
  parent_client_id: string | null;
  owner_did: string | null;
}

export function toClient(row: ClientRow): ApiClient {
  return {
    id: row.id,
    clientKey: row.client_key,
    secretHash: row.client_secret_hash,
    name: row.name,
    clientIdUrl: row.client_id_url,
    clientUri: row.client_uri,
    redirectUris: JSON.parse(row.redirect_uris) as string[], // written by the store alone
    scopes: row.scopes,
    type: row.client_type === "public" ? "public" : "confidential",
    allowedOrigins: row.allowed_origins === null ? null : (JSON.parse(row.allowed_origins) as string[]),
    rateLimitCapacity: row.rate_limit_capacity,
    rateLimitRefillRate: row.rate_limit_refill_rate,
    isActive: row.is_active === 1,
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    parentId: row.parent_client_id,
    ownerDid: row.owner_did,
  };
}

/** Whether a client_id is that of the instance's own dashboard, under one of its domains. */
export function isOwnClientId(
  clientId: string,
  { domains, config }: Pick<PluginApp, "domains" | "config">,
): boolean {
  const path = `${config.server.basePath}/oauth-client-metadata.json`;
  return domains.list().some(({ url }) => clientId === url + path);
}

export function newClientKey(): string {
  return `hvc_${randomBytes(16).toString("hex")}`;
}

export function newClientSecret(): string {
  return `hvs_${randomBytes(32).toString("hex")}`;
}

export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

export function isSecretOf(secret: string, { secretHash }: Pick<ApiClient, "secretHash">): boolean {
  const given = Buffer.from(hashSecret(secret));
  const stored = Buffer.from(secretHash);
  return given.length === stored.length && timingSafeEqual(given, stored);
}

/** As the admin API shows it: no secret, not even its hash. */
export function adminView(client: ApiClient): Record<string, unknown> {
  return {
    id: client.id,
    client_key: client.clientKey,
    name: client.name,
    client_id_url: client.clientIdUrl,
    client_uri: client.clientUri,
    redirect_uris: client.redirectUris,
    scopes: client.scopes,
    client_type: client.type,
    allowed_origins: client.allowedOrigins,
    rate_limit_capacity: client.rateLimitCapacity,
    rate_limit_refill_rate: client.rateLimitRefillRate,
    is_active: client.isActive,
    created_by: client.createdBy ?? "instance",
    created_at: client.createdAt,
    updated_at: client.updatedAt,
    parent_client_id: client.parentId,
    owner_did: client.ownerDid,
  };
}

/** As `dev.happyview.*ApiClient` shows it to its owner. */
export function ownerView(client: ApiClient): Record<string, unknown> {
  return {
    id: client.id,
    name: client.name,
    clientKey: client.clientKey,
    clientIdUrl: client.clientIdUrl,
    clientUri: client.clientUri,
    redirectUris: client.redirectUris,
    clientType: client.type,
    scopes: client.scopes,
    allowedOrigins: client.allowedOrigins,
    isActive: client.isActive,
    createdAt: client.createdAt,
  };
}
