import type { PluginApp } from "../../core/index.ts";

export interface Concurrency {
  /** DIDs looked up at once. */
  resolution: number;
  /** With didsPerPds, how many requests are in flight: their product. */
  pds: number;
  /** Requests in flight to one host. */
  didsPerPds: number;
  /** Attempts of a unit before it counts as failed. */
  maxAttempts: number;
}

export interface BackfillSettings {
  /** What a job that starts now uses. */
  concurrency(): Concurrency;
  /** Days for which the details of ended jobs are kept; 0 keeps them. */
  retentionDays(): number;
  /** Unfinished units above which discovery waits. */
  discoveryWindow: number;
}

const keys = {
  resolution: {
    key: "backfill_concurrent_resolution",
    env: "BACKFILL_CONCURRENT_RESOLUTION",
    default: "100",
  },
  pds: { key: "backfill_concurrent_pds", env: "BACKFILL_CONCURRENT_PDS", default: "10" },
  didsPerPds: {
    key: "backfill_concurrent_dids_per_pds",
    env: "BACKFILL_CONCURRENT_DIDS_PER_PDS",
    default: "3",
  },
  maxAttempts: { key: "backfill_max_attempts", default: "3" },
  retentionDays: { key: "backfill_retention_days", env: "BACKFILL_RETENTION_DAYS", default: "28" },
} as const;

const maxConcurrency = 1000;

/** The settings of sync-and-xrpc §3.6; a value that is no number counts as the default. */
export function defineSettings({
  settings,
  config,
}: Pick<PluginApp, "settings" | "config">): BackfillSettings {
  for (const definition of Object.values(keys)) settings.define(definition);
  const read = (name: keyof typeof keys, min: number, max: number): number => {
    const text = settings.get(keys[name].key)?.trim() ?? "";
    const value = /^-?\d+$/.test(text) ? Number(text) : Number(keys[name].default);
    return Math.min(Math.max(value, min), max);
  };
  const window = Number(config.env["BACKFILL_DISCOVERY_WINDOW"]);
  return {
    concurrency: () => ({
      resolution: read("resolution", 1, maxConcurrency),
      pds: read("pds", 1, maxConcurrency),
      didsPerPds: read("didsPerPds", 1, maxConcurrency),
      maxAttempts: read("maxAttempts", 1, 10),
    }),
    retentionDays: () => read("retentionDays", 0, 36_500),
    discoveryWindow: Number.isInteger(window) && window >= 1 ? window : 50_000,
  };
}
