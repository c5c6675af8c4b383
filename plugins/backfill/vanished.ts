import { unlessAborted } from "./abort.ts";
import type { CommitEvent, PluginApp } from "../../core/index.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";

const pageSize = 500;

/**
 * Removes what a full listing of a collection did not bring: rows that came from the network with a rev older than the
 * listing's, for which `isGone` says yes. Rows of scripts have no rev and newer ones came after it: neither is touched.
 * Returns how many were removed.
 */
export async function removeVanished(
  {
    db,
    pipeline,
    signal,
  }: { db: PluginApp["db"]; pipeline: Pick<Pipeline, "ingestMany">; signal: AbortSignal },
  { did, collection, rev }: { did: string; collection: string; rev: string },
  isGone: (rkey: string) => Promise<boolean>,
): Promise<number> {
  let removed = 0;
  for (let after = ""; ;) {
    const rows = await db.all<{ uri: string; rkey: string }>(
      `SELECT uri, rkey FROM happyview_records
       WHERE did = ? AND collection = ? AND rev <> '' AND rev < ? AND uri > ? ORDER BY uri LIMIT ${pageSize}`,
      [did, collection, rev, after],
    );
    const events: CommitEvent[] = [];
    for (const { rkey } of rows)
      if (await isGone(rkey))
        events.push({ kind: "commit", action: "delete", did, collection, rkey, rev, cid: "" });
    if (events.length > 0) removed += (await unlessAborted(signal, pipeline.ingestMany(events))).stored;
    const last = rows.at(-1);
    if (!last || rows.length < pageSize) return removed;
    after = last.uri;
  }
}
