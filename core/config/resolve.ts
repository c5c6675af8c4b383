import { HappyViewError } from "../errors.ts";
import type { LexiconOptions } from "../lexicons/resource.ts";
import type { Plugin } from "../plugin.ts";
import type { UserConfig } from "./define.ts";
import { resolveNetworkLexicons, type NetworkLexicon } from "./network-lexicons.ts";

export type Mode = "development" | "production" | "test";
export type Environment = Readonly<Record<string, string | undefined>>;

/** The config in force: every value present, environment applied. */
export interface Config {
  mode: Mode;
  /** The project folder. */
  root: string;
  database: { url: string; maxConnections: number };
  plugins: Plugin[];
  lexicons: Record<string, LexiconOptions>;
  networkLexicons: NetworkLexicon[];
  /** DIDs of the labelers that the config subscribes to. */
  labelers: string[];
  settings: Record<string, string>;
  server: { publicUrl: string | undefined; host: string; port: number; basePath: string };
  network: { jetstreamUrl: string; relayUrl: string; plcUrl: string };
  /** `hv_…`: every admin permission. Never stored, never logged. */
  adminKey: string | undefined;
  rateLimit: { capacity: number; refillRate: number };
  env: Environment;
}

const refillRate = "DEFAULT_RATE_LIMIT_REFILL_RATE";
const maxTokens = 1_000_000_000;

/** Environment > config > default, for HappyView's variables (admin-api §4). */
export function resolveConfig(
  user: UserConfig,
  options: { mode: Mode; root: string; env: Environment },
): Config {
  const { mode, root, env } = options;
  const text = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
  const int = (name: string, fallback: number, min: number, max: number): number =>
    checkNumber(name, text(name), /^\d+$/, min, max) ?? fallback;
  return {
    mode,
    root,
    env,
    database: {
      url: text("DATABASE_URL") ?? user.database?.url ?? "file:.data/happyview.db",
      maxConnections: int("DATABASE_MAX_CONNECTIONS", user.database?.maxConnections ?? 32, 1, 10_000),
    },
    plugins: user.plugins ?? [],
    lexicons: user.lexicons ?? {},
    networkLexicons: resolveNetworkLexicons(user.networkLexicons ?? []),
    labelers: [...new Set(user.labelers)],
    settings: user.settings ?? {},
    server: {
      publicUrl: checkUrl("PUBLIC_URL", text("PUBLIC_URL") ?? user.server?.publicUrl),
      host: text("HOST") ?? user.server?.host ?? "0.0.0.0",
      port: int("PORT", user.server?.port ?? 3000, 0, 65_535),
      basePath: checkBasePath(text("BASE_PATH") ?? user.server?.basePath ?? ""),
    },
    network: {
      jetstreamUrl:
        text("JETSTREAM_URL") ?? user.network?.jetstreamUrl ?? "wss://jetstream1.us-east.bsky.network",
      relayUrl: text("RELAY_URL") ?? user.network?.relayUrl ?? "https://bsky.network",
      plcUrl: text("PLC_URL") ?? user.network?.plcUrl ?? "https://plc.directory",
    },
    adminKey: text("HAPPYVIEW_ADMIN_KEY"),
    rateLimit: {
      capacity: int("DEFAULT_RATE_LIMIT_CAPACITY", 100, 0, maxTokens),
      refillRate: checkNumber(refillRate, text(refillRate), /^\d+(\.\d+)?$/, 0, maxTokens) ?? 2,
    },
  };
}

/**
 * True for a developer's instance, where private addresses are the normal case: one on a loopback URL, or one without a
 * URL that does not run in production, where forgetting PUBLIC_URL must not open the private network.
 */
export function isLocal(config: Config): boolean {
  if (config.server.publicUrl === undefined) return config.mode !== "production";
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(config.server.publicUrl).hostname);
}

export function publicUrl({ server }: Config): string {
  return (server.publicUrl ?? `http://localhost:${server.port}`).replace(/\/+$/, "") + server.basePath;
}

function checkNumber(
  name: string,
  value: string | undefined,
  form: RegExp,
  min: number,
  max: number,
): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (form.test(value.trim()) && number >= min && number <= max) return number;
  throw new HappyViewError("CONFIG_INVALID", {
    message: `${name} is "${value}", which is not a number from ${min} to ${max}`,
    hint: `correct ${name} in the environment or in .env, or leave it out`,
  });
}

function checkUrl(name: string, url: string | undefined): string | undefined {
  if (url === undefined || URL.canParse(url)) return url;
  throw new HappyViewError("CONFIG_INVALID", {
    message: `${name} is "${url}", which is not a URL`,
    hint: `set ${name} to an origin such as https://appview.example`,
  });
}

function checkBasePath(path: string): string {
  const clean = path.replace(/\/+$/, "");
  if (clean === "" || clean.startsWith("/")) return clean;
  throw new HappyViewError("CONFIG_INVALID", {
    message: `BASE_PATH must start with '/' (got: ${path})`,
    hint: "use for example BASE_PATH=/appview",
  });
}
