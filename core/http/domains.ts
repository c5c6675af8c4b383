import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { isLocal, publicUrl, type Config } from "../config/resolve.ts";
import type { Database } from "../db/database.ts";
import { HttpError } from "../errors.ts";
import type { Events } from "../events.ts";
import type { AdminRoutes } from "./admin.ts";
import type { Hosts } from "./hosts.ts";
import { json } from "./reply.ts";

export interface Domain {
  id: string;
  /** Without a path and a slash at the end. */
  url: string;
  isPrimary: boolean;
  createdAt: string;
  updatedAt: string;
}

/** The origins under which clients reach the instance (admin-api §2.14). */
export interface Domains {
  list(): readonly Domain[];
  primary(): string;
  /** The URL of the domain whose host this is; the primary one's for a host that is none's. */
  urlOf(host: string): string;
}

interface Row {
  id: string;
  url: string;
  is_primary: number;
  created_at: string;
  updated_at: string;
}

export interface DomainParts {
  db: Database;
  config: Config;
  hosts: Hosts;
  clock: Clock;
}

export interface DomainStore extends Domains {
  add(url: string): Promise<Domain>;
  setPrimary(id: string): Promise<void>;
  remove(id: string): Promise<void>;
  byId(id: string): Domain | undefined;
  /** Reads what other processes changed. */
  refresh(): Promise<void>;
}

/**
 * The row that PUBLIC_URL made follows PUBLIC_URL; which domain is the primary one is an admin's choice, and stays so
 * through restarts.
 */
export async function createDomains({ db, config, hosts, clock }: DomainParts): Promise<DomainStore> {
  const own = new URL(publicUrl(config)).origin;
  let domains: Domain[] = [];

  async function refresh(): Promise<void> {
    const rows = await db.all<Row>("SELECT * FROM happyview_domains ORDER BY created_at");
    const before = domains;
    domains = rows.map(toDomain);
    for (const { url } of before) if (url !== own) hosts.remove(url);
    for (const { url } of domains) if (url !== own || config.server.publicUrl !== undefined) hosts.add(url);
  }

  async function seed(): Promise<void> {
    const at = clock.timestamp();
    await db.transaction(async (tx) => {
      const rows = await tx.all<Row & { origin: string }>("SELECT * FROM happyview_domains");
      const made = rows.find(({ origin }) => origin === "config");
      if (rows.some(({ url }) => url === own)) return;
      if (made)
        await tx.run("UPDATE happyview_domains SET url = ?, updated_at = ? WHERE id = ?", [own, at, made.id]);
      else
        await tx.run(
          "INSERT INTO happyview_domains (id, url, is_primary, origin, created_at, updated_at) VALUES (?, ?, ?, 'config', ?, ?) ON CONFLICT DO NOTHING", // another process may be first
          [randomUUID(), own, !rows.some(({ is_primary }) => is_primary === 1), at, at],
        );
    });
  }

  const primary = (): string => domains.find(({ isPrimary }) => isPrimary)?.url ?? own;
  await seed();
  await refresh();
  return {
    list: () => domains,
    primary,
    urlOf: (host) => domains.find(({ url }) => new URL(url).hostname === host)?.url ?? primary(),
    byId: (id) => domains.find((domain) => domain.id === id),
    refresh,
    async add(url) {
      const id = randomUUID();
      const at = clock.timestamp();
      const added = await db.run(
        "INSERT INTO happyview_domains (id, url, is_primary, origin, created_at, updated_at) VALUES (?, ?, 0, 'admin', ?, ?) ON CONFLICT DO NOTHING",
        [id, url, at, at],
      );
      if (added === 0) throw new HttpError(400, `domain '${url}' already exists`);
      await refresh();
      return { id, url, isPrimary: false, createdAt: at, updatedAt: at };
    },
    async setPrimary(id) {
      await db.run(
        "UPDATE happyview_domains SET is_primary = CASE id WHEN ? THEN 1 ELSE 0 END, updated_at = ?",
        [id, clock.timestamp()],
      );
      await refresh();
    },
    async remove(id) {
      await db.run("DELETE FROM happyview_domains WHERE id = ?", [id]);
      await refresh();
    },
  };
}

/** `/admin/domains`. */
export function domainsAdmin(admin: AdminRoutes, domains: DomainStore, events: Events, config: Config): void {
  const permission = "settings:manage";
  const existing = (id = ""): Domain => {
    const domain = domains.byId(id);
    if (!domain) throw new HttpError(404, "domain not found");
    return domain;
  };
  const announce = (type: string, { id, url }: Domain, actor: string | null): void =>
    events.emit({ type: `domain.${type}`, actor, subject: url, detail: { id } });

  admin.route("GET /domains", { permission }, () => domains.list().map(view));
  admin.route(
    "POST /domains",
    { permission, body: z.object({ url: z.string() }) },
    async ({ body, caller }) => {
      const domain = await domains.add(checkUrl(body.url, isLocal(config)));
      announce("created", domain, caller.did);
      return json(view(domain), 201);
    },
  );
  admin.route("POST /domains/:id/primary", { permission }, async ({ params, caller }) => {
    const domain = existing(params["id"]);
    await domains.setPrimary(domain.id);
    announce("primary_changed", domain, caller.did);
  });
  admin.route("DELETE /domains/:id", { permission }, async ({ params, caller }) => {
    const domain = existing(params["id"]);
    if (domain.isPrimary)
      throw new HttpError(400, "cannot delete the primary domain — set a different domain as primary first");
    await domains.remove(domain.id);
    announce("deleted", domain, caller.did);
  });
}

function checkUrl(text: string, allowsHttp: boolean): string {
  const trimmed = text.trim().replace(/\/+$/, "");
  if (!URL.canParse(trimmed)) throw new HttpError(400, "invalid URL");
  const url = new URL(trimmed);
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "")
    throw new HttpError(400, "URL must not contain a path");
  if (url.hostname === "") throw new HttpError(400, "URL must contain a host");
  if (url.protocol !== "https:" && !(allowsHttp && url.protocol === "http:"))
    throw new HttpError(400, "URL scheme must be https");
  return url.origin;
}

function toDomain(row: Row): Domain {
  return {
    id: row.id,
    url: row.url,
    isPrimary: row.is_primary === 1,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function view({ id, url, isPrimary, createdAt, updatedAt }: Domain): Record<string, unknown> {
  return { id, url, is_primary: isPrimary, created_at: createdAt, updated_at: updatedAt };
}
