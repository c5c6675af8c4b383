import type { Registry } from "prom-client";
import type { Storage } from "unstorage";
import type { Clock } from "./clock.ts";
import type { Config } from "./config/resolve.ts";
import type { Database } from "./db/database.ts";
import type { Events } from "./events.ts";
import type { Health } from "./health.ts";
import type { Hooks } from "./hooks.ts";
import type { AdminRoutes } from "./http/admin.ts";
import type { Callers } from "./http/caller.ts";
import type { Domains } from "./http/domains.ts";
import type { OutgoingFetch } from "./http/outgoing.ts";
import type { Router } from "./http/router.ts";
import type { IdentityResolver } from "./identity/resolve.ts";
import type { Leader } from "./leader.ts";
import type { LexiconRegistry } from "./lexicons/registry.ts";
import type { Logger } from "./log.ts";
import type { Records } from "./records/records.ts";
import type { ResourceKind } from "./resources/kind.ts";
import type { Settings } from "./settings.ts";
import type { Logo } from "./settings-logo.ts";
import type { XrpcMethods } from "./xrpc/dispatch.ts";

/** What a plugin's setup sees. Contributions are taken during setup only. */
export interface PluginApp {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly db: Database;
  /** Small shared state: caches, nonces. Memory, unless the config mounts something else. */
  readonly storage: Storage;
  readonly records: Records;
  readonly lexicons: LexiconRegistry;
  readonly identity: IdentityResolver;
  readonly settings: Settings;
  readonly events: Events;
  /** For URLs that come from outside. */
  readonly fetch: OutgoingFetch;
  /** For work that one process does for all that share a database. */
  readonly leader: Pick<Leader, "while">;
  /** Listens to what core announces; the listener goes when the app closes. */
  readonly hook: Hooks["hook"];
  /** Routes outside /admin and /xrpc. */
  readonly http: Pick<Router, "route">;
  readonly admin: AdminRoutes;
  readonly xrpc: XrpcMethods;
  readonly callers: Callers;
  readonly domains: Domains;
  readonly logo: Logo;
  readonly health: Pick<Health, "check">;
  /** Prometheus metrics of this app; names begin with `happyview_`. */
  readonly metrics: Registry;
  resource<Value>(kind: ResourceKind<Value>): void;
  /** Runs when the app closes, in reverse order of registration. */
  onClose(close: () => void | Promise<void>): void;
}
