import type { SourceFile } from "../../../core/resources/files.ts";
import type { BackfillOptions } from "../../../plugins/backfill/index.ts";
import { recordLexicon } from "../../suites/http/subject.ts";

export const status = "xyz.statusphere.status";
export const note = "com.example.note";

/** Patience for tests: everything that waits for somebody who is gone waits for less. */
export const quick: BackfillOptions = {
  leaseMs: 1500,
  pollMs: 50,
  pageTimeoutMs: 5000,
  coolDownMs: 10,
  downAfter: 4,
};

export const fewConnections: Record<string, string> = {
  BACKFILL_CONCURRENT_RESOLUTION: "8",
  BACKFILL_CONCURRENT_PDS: "3",
  BACKFILL_CONCURRENT_DIDS_PER_PDS: "2",
  BACKFILL_DATABASE_MAX_CONNECTIONS: "4",
};

export function lexiconFiles(collections: readonly string[]): SourceFile[] {
  return collections.map((id) => ({
    path: `${id}.json`,
    name: id,
    text: JSON.stringify(recordLexicon(id)),
  }));
}
