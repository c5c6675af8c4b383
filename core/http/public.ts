import type { Registry } from "prom-client";
import type { Config } from "../config/resolve.ts";
import type { Database } from "../db/database.ts";
import type { Health } from "../health.ts";
import type { Settings } from "../settings.ts";
import type { Logo } from "../settings-logo.ts";
import { version } from "../version.ts";
import type { Domains } from "./domains.ts";
import { json, redirect, reply, text } from "./reply.ts";
import { hostOf, type Router } from "./router.ts";
import { shownUrl } from "./shown-url.ts";

export interface PublicParts {
  config: Config;
  db: Database;
  health: Health;
  metrics: Registry;
  router: Router;
  settings: Settings;
  domains: Domains;
  logo: Logo;
}

/** What everybody may ask of an instance (admin-api §5). */
export function publicRoutes({
  config,
  db,
  health,
  metrics,
  router,
  settings,
  domains,
  logo,
}: PublicParts): void {
  for (const name of ["app_name", "logo_uri", "client_uri", "tos_uri", "policy_uri"])
    settings.define({ key: name, env: name.toUpperCase() });
  settings.define({ key: "feature.spaces_enabled", env: "FEATURE_SPACES_ENABLED", default: "false" });

  health.check("database", async () => {
    await db.get("SELECT 1 AS one");
    return { ok: true, detail: { dialect: db.dialect } };
  });

  router.route("GET /health", () => text("ok"), { anyHost: true, atRoot: true });
  router.route(
    "GET /health/ready",
    async () => {
      const report = await health.report();
      return json(report, report.ready ? 200 : 503);
    },
    { anyHost: true, atRoot: true },
  );
  router.route(
    "GET /metrics",
    async () => reply(200, await metrics.metrics(), { "content-type": metrics.contentType }),
    {
      anyHost: true,
      atRoot: true,
    },
  );
  router.route("GET /config", ({ request }) => ({
    public_url: baseOf(domains.urlOf(hostOf(request)), config),
    version,
    database_backend: db.dialect,
    jetstream_url: shownUrl(config.network.jetstreamUrl),
    relay_url: shownUrl(config.network.relayUrl),
    plc_url: shownUrl(config.network.plcUrl),
    default_rate_limit_capacity: config.rateLimit.capacity,
    default_rate_limit_refill_rate: config.rateLimit.refillRate,
    app_name: settings.get("app_name") ?? null,
    logo_url: logoUrl(baseOf(domains.urlOf(hostOf(request)), config), settings, logo) ?? null,
    features: { spaces: settings.isOn("feature.spaces_enabled") },
  }));
  router.route("GET /", () => redirect(`${config.server.basePath}/dashboard/`), { anyHost: true });
}

/** The URL of a domain with the base path of the instance. */
export function baseOf(domain: string, { server }: Config): string {
  return domain + server.basePath;
}

/** The uploaded logo, else the configured one. */
export function logoUrl(base: string, settings: Settings, logo: Logo): string | undefined {
  return logo.isUploaded() ? `${base}/settings/logo` : settings.get("logo_uri");
}
