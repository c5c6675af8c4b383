import type { PluginApp } from "../../core/index.ts";
import type { Intake } from "./intake.ts";
import { jetstreamSource } from "./jetstream.ts";
import { jetstreamV2Source } from "./jetstream-v2.ts";
import { relaySource } from "./relay.ts";
import type { ResolvedSource } from "./sources.ts";
import type { Status } from "./status.ts";
import type { StreamSource } from "./stream.ts";
import { createUnverifiedReports } from "./unverified.ts";

export interface SourcesParts {
  intake: Intake;
  status: Status;
  /** Has a repo read anew; undefined where nothing can. */
  resync: ((did: string) => Promise<void>) | undefined;
  archiveKey: string | undefined;
  overlapMs: number;
  /** Unix milliseconds. */
  now: () => number;
  random: (() => number) | undefined;
}

/** The streams that the config names, each by its kind. */
export function openSources(
  app: PluginApp,
  resolved: readonly ResolvedSource[],
  parts: SourcesParts,
): StreamSource[] {
  const { db, events, identity, lexicons, log } = app;
  const { intake: pipeline, status, now, random } = parts;
  const unverified = createUnverifiedReports(events);
  app.onClose(() => unverified.close());

  const isIndexed = async (did: string): Promise<boolean> =>
    (await db.get("SELECT uri FROM happyview_records WHERE did = ? LIMIT 1", [did])) !== undefined;

  return resolved.map(({ kind, url: base }) => {
    const shared = { base, pipeline, status, now, random, events };
    if (kind === "relay") {
      const { resync } = parts;
      return relaySource({
        ...shared,
        isTracked: lexicons.isTracked,
        isIndexed,
        resync,
        identity,
        unverified,
      });
    }
    const jetstream = { ...shared, collections: lexicons.collections };
    if (kind !== "jetstream-v2") return jetstreamSource(jetstream);
    const { archiveKey, overlapMs } = parts;
    return jetstreamV2Source({ ...jetstream, archiveKey, overlapMs, flush: app.records.pipeline.flush, log });
  });
}
