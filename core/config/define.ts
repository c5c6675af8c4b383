import type { LexiconOptions } from "../lexicons/resource.ts";
import type { Plugin } from "../plugin.ts";
import type { NetworkLexicon } from "./network-lexicons.ts";

/** What `happyview.config.ts` exports. Environment variables of HappyView's names win over it. */
export interface UserConfig {
  /** Where records live. */
  database?: {
    /** `file:path`, `sqlite://path?mode=rwc` or `postgres://…`. @default "file:.data/happyview.db", or DATABASE_URL */
    url?: string;
    /** Connections of the main pool on Postgres. @default 32, or DATABASE_MAX_CONNECTIONS */
    maxConnections?: number;
  };
  /** What the instance is made of; the order is the order of hooks. */
  plugins?: Plugin[];
  /** What is added to lexicon files, by NSID. */
  lexicons?: Record<string, LexiconOptions>;
  /**
   * Lexicons that others publish: found by DNS, read from their authority's repo and kept current by `networkLexicons()`.
   * @example networkLexicons: ["xyz.statusphere.status", { nsid: "com.example.list", targetCollection: "com.example.note" }]
   */
  networkLexicons?: (string | NetworkLexicon)[];
  /** DIDs of labelers that `labelers()` subscribes to; one that is taken out is unsubscribed, and its labels go. */
  labelers?: string[];
  /** Instance settings; a value stored by an admin or set in the environment wins. */
  settings?: Record<string, string>;
  /** The outside of the instance. */
  server?: {
    /** Origin under which clients reach it. @default every loopback name, or PUBLIC_URL */
    publicUrl?: string;
    /** @default "0.0.0.0", or HOST */
    host?: string;
    /** @default 3000, or PORT */
    port?: number;
    /** All routes but /health move under it. @default none, or BASE_PATH */
    basePath?: string;
  };
  /** The services of the network. */
  network?: {
    /** @default "wss://jetstream1.us-east.bsky.network", or JETSTREAM_URL */
    jetstreamUrl?: string;
    /** @default "https://bsky.network", or RELAY_URL */
    relayUrl?: string;
    /** @default "https://plc.directory", or PLC_URL */
    plcUrl?: string;
  };
}

/** Values that apply in one mode only; `extends` names configs that this one builds on (c12). */
export interface UserConfigLayers extends UserConfig {
  extends?: string | string[];
  $development?: UserConfig;
  $production?: UserConfig;
  $test?: UserConfig;
}

/**
 * Types a config.
 * @example
 * export default defineConfig({ plugins: [firehose(), luaScripts()] });
 */
export function defineConfig(config: UserConfigLayers): UserConfigLayers {
  return config;
}
