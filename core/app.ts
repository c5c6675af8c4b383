import { createStorage } from "unstorage";
import lruCacheDriver from "unstorage/drivers/lru-cache";
import { Registry } from "prom-client";
import { createClock } from "./clock.ts";
import { labelerSources } from "./config/labelers.ts";
import { networkLexiconSources } from "./config/network-lexicons.ts";
import { isLocal, type Config } from "./config/resolve.ts";
import { connect, type Database } from "./db/database.ts";
import { migrate } from "./db/migrate.ts";
import { coreMigrations } from "./db/migrations.ts";
import { explain, HappyViewError, isHappyViewError } from "./errors.ts";
import { createEvents } from "./events.ts";
import { createHealth } from "./health.ts";
import { createAppHooks } from "./hooks.ts";
import { createAdminRoutes } from "./http/admin.ts";
import type { Callers } from "./http/caller.ts";
import { createDomains, domainsAdmin } from "./http/domains.ts";
import { createHosts } from "./http/hosts.ts";
import { createOutgoingFetch } from "./http/outgoing.ts";
import { toResponse, type Reply } from "./http/reply.ts";
import type { HttpRequest } from "./http/request.ts";
import { createRouter } from "./http/router.ts";
import { createTxtLookup, dnsServers } from "./identity/authority.ts";
import { createIdentityResolver } from "./identity/resolve.ts";
import { lexiconsAdmin } from "./lexicons/admin.ts";
import { createLexiconRegistry } from "./lexicons/registry.ts";
import { lexiconResource } from "./lexicons/resource.ts";
import { createLeader } from "./leader.ts";
import { createLogger, type Logger } from "./log.ts";
import type { PluginApp } from "./plugin-app.ts";
import { orderPlugins } from "./plugin.ts";
import { recordsAdmin } from "./records/admin.ts";
import type { RecordInterceptor } from "./records/intercept.ts";
import { createPipeline, type PipelineLimits } from "./records/pipeline.ts";
import { createLocalRecords } from "./records/local.ts";
import { createRecordStore } from "./records/store.ts";
import type { Records } from "./records/records.ts";
import { sweepTombstones } from "./records/tombstones.ts";
import { createResources, type Resources } from "./resources/resources.ts";
import type { SourceFile } from "./resources/files.ts";
import { publicRoutes } from "./http/public.ts";
import { createSettings } from "./settings.ts";
import { settingsAdmin } from "./settings-admin.ts";
import { createLogo } from "./settings-logo.ts";
import { createXrpc } from "./xrpc/dispatch.ts";
import { createProxy, proxyAdmin } from "./xrpc/proxy.ts";

export interface AppOptions {
  config: Config;
  /** Lexicon and script files by folder; without them what is stored stays as it is. */
  files?: Readonly<Record<string, readonly SourceFile[]>>;
  log?: Logger;
  /** Streams, timers and other background work; off for one-off commands. @default true */
  background?: boolean;
  /** Milliseconds since the epoch. @default Date.now */
  now?: () => number;
  pipeline?: PipelineLimits;
}

/** A running instance. */
export interface App {
  readonly config: Config;
  readonly log: Logger;
  readonly db: Database;
  readonly records: Records;
  readonly resources: Resources;
  /** Answers a web request. */
  fetch(request: Request): Promise<Response>;
  /** The same without building a web Request and Response. */
  handle(request: HttpRequest): Promise<Reply>;
  /** What a plugin's setup returned. */
  api(plugin: string): unknown;
  /** Stops taking work, makes durable what was taken, and closes in reverse order. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Orders the plugins, migrates, sets up, freezes, deploys the files, and is ready. */
export async function createApp(options: AppOptions): Promise<App> {
  const { config } = options;
  const log = options.log ?? createLogger();
  const plugins = orderPlugins(config.plugins);
  const clock = createClock(options.now);
  const db = await connect({ ...config.database, root: config.root });
  const closers: (() => void | Promise<void>)[] = [() => db.close()];
  const close = once(() => closeAll(closers, log));

  try {
    await migrate(db, [{ name: "core", migrations: coreMigrations }, ...plugins], log);
    const hooks = createAppHooks();
    const events = createEvents(hooks, clock, log);
    const settings = await createSettings(db, config.env, config.settings, clock);
    const lexicons = await createLexiconRegistry(db, hooks, clock, log);
    // Identities mostly, each below ten kilobytes and most below one (did-document.ts).
    const storage = createStorage({ driver: lruCacheDriver({ max: 5000 }) });
    const fetch = createOutgoingFetch({ allowPrivate: isLocal(config) });
    const identity = createIdentityResolver({
      plcUrl: config.network.plcUrl,
      storage,
      fetch,
      now: clock.now,
    });
    const store = createRecordStore(db);
    const interceptors: RecordInterceptor[] = [];
    const openPipeline: Records["openPipeline"] = (source) => {
      const opened = createPipeline({
        lexicons,
        hooks,
        events,
        clock,
        interceptors,
        log: log.child("records"),
        ...source,
      });
      closers.push(() => opened.close());
      return opened;
    };
    const pipeline = openPipeline({ db, ...(options.pipeline ? { limits: options.pipeline } : {}) });
    const health = createHealth(log.child("health"));
    const metrics = new Registry();
    const leader = createLeader({ db, metrics, log: log.child("leader") });
    closers.push(() => leader.close());
    const hosts = createHosts(config.server.publicUrl);
    const domains = await createDomains({ db, config, hosts, clock });
    const router = createRouter({
      basePath: config.server.basePath,
      hosts,
      isOwn: (origin) => domains.list().some(({ url }) => url === origin),
      log: log.child("http"),
    });
    const callers: Callers = { admin: [], xrpc: [] };
    const admin = createAdminRoutes(router, callers, config.adminKey, events);
    const lookup = createTxtLookup({ servers: dnsServers(config.env) });
    const fallback = createProxy({ settings, identity, fetch, lookup, configured: config.settings });
    const xrpc = createXrpc({ router, callers, lexicons, store, hooks, fallback });
    const resources = createResources(log);

    hooks.hook("identity:changed", ({ did }) => identity.forget(did));
    const logo = await createLogo({ db, admin, router, events });
    publicRoutes({ config, db, health, metrics, router, settings, domains, logo });
    domainsAdmin(admin, domains, events, config);
    proxyAdmin(admin, settings, events);
    settingsAdmin(admin, settings, events, Boolean(config.env["TOKEN_ENCRYPTION_KEY"]));
    lexiconsAdmin(admin, lexicons, events);
    recordsAdmin(admin, db, store, lexicons);
    admin.route("GET /manifest", { permission: "stats:read" }, () => ({ routes: admin.list() }));
    resources.add(lexiconResource(lexicons, config.lexicons));

    const shared = {
      config,
      clock,
      db,
      storage,
      records: { pipeline, openPipeline, store, local: createLocalRecords(db, store, clock) },
      lexicons,
      identity,
      settings,
      events,
      fetch,
      callers,
      leader,
      domains,
      logo,
    };
    let frozen = false;
    const open = <F extends (...args: never[]) => unknown>(what: string, contribute: F): F =>
      ((...args) => {
        if (frozen) throw late(what);
        return contribute(...args);
      }) as F;
    const apis = new Map<string, unknown>();
    for (const plugin of plugins) {
      const owned: PluginApp = {
        ...shared,
        log: log.child(plugin.name),
        hook: hooks.hook.bind(hooks),
        http: { route: open("route", router.route) },
        admin: { route: open("admin route", admin.route) as typeof admin.route, list: admin.list },
        xrpc: {
          method: open("XRPC method", xrpc.method),
          isMethod: xrpc.isMethod,
          resolve: open("XRPC resolver", xrpc.resolve),
          defaultProcedure: open("default procedure", xrpc.defaultProcedure),
          ownPds: open("way to callers' PDSes", xrpc.ownPds),
          decorate: open("decorator", xrpc.decorate),
          listCondition: open("list condition", xrpc.listCondition),
          call: xrpc.call,
        },
        health: { check: open("health check", health.check) },
        metrics,
        resource: open("resource kind", resources.add) as PluginApp["resource"],
        onClose: (closer) => void closers.push(closer),
      };
      apis.set(plugin.name, await setUp(plugin.name, () => plugin.setup(owned, apis)));
    }
    frozen = true;

    // Without background work nobody would ask their authorities, and a one-off command must not remove any.
    const declared =
      options.background === false
        ? {}
        : { ...networkLexiconSources(config.networkLexicons), ...labelerSources(config.labelers) };
    await resources.deploy({ ...options.files, ...declared });
    if (config.mode === "production" && config.server.publicUrl === undefined)
      log.warn("PUBLIC_URL is not set: only loopback names are answered outside /admin", {
        hint: "set PUBLIC_URL to the origin under which clients reach this instance",
      });
    health.check("records", () => pipeline.health());
    health.check("leader", leader.check);
    // Intake ends first, and what was taken in is written while every plugin still listens; what a closing plugin
    // can no longer handle is read again after the restart.
    closers.push(() => pipeline.close());
    if (options.background !== false) {
      closers.push(sweepTombstones(db, clock, log));
      if (db.dialect === "postgres") closers.push(every(domainsEveryMs, () => domains.refresh()));
      await hooks.callHook("app:ready");
    }
    return {
      config,
      log,
      db,
      records: shared.records,
      resources,
      fetch: async (request) => toResponse(await router.handle(request)),
      handle: router.handle,
      api: (name) => apis.get(name),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Other processes of the database may change the domains. */
const domainsEveryMs = 10_000;

function every(ms: number, work: () => Promise<void>): () => void {
  const timer = setInterval(() => void work().catch(() => {}), ms).unref(); // the next time does
  return () => clearInterval(timer);
}

async function setUp(name: string, setup: () => unknown): Promise<unknown> {
  try {
    return await setup();
  } catch (cause) {
    if (isHappyViewError(cause)) throw cause;
    throw new HappyViewError("PLUGIN_SETUP_FAILED", {
      message: `the plugin "${name}" could not be set up`,
      hint: "correct its options, or take it out of `plugins` in happyview.config.ts",
      cause,
    });
  }
}

function late(what: string): HappyViewError {
  return new HappyViewError("PLUGIN_LATE", {
    message: `a plugin contributed a ${what} after setup`,
    hint: "register routes, methods, resource kinds and checks inside setup(), before it returns",
  });
}

async function closeAll(closers: (() => void | Promise<void>)[], log: Logger): Promise<void> {
  for (let closer = closers.pop(); closer; closer = closers.pop()) {
    try {
      await closer();
    } catch (error) {
      log.error("something did not close cleanly", { error: explain(error) });
    }
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= work());
}
