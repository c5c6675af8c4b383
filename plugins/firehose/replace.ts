import { explain } from "../../core/errors.ts";
import type { CommitEvent, Logger } from "../../core/index.ts";
import type { Database } from "../../core/db/database.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";

/**
 * Puts what an account's own host proves in the place of what a source claimed. The proof passes the pipeline like any
 * event, but a claim with a rev that is no older would win over it: that one goes first. What came later stays.
 */
export function replaceProven(parts: {
  db: Database;
  pipeline: Pick<Pipeline, "ingestMany">;
  log: Logger;
}): (proven: CommitEvent, claimedRev: string) => Promise<void> {
  const { db, pipeline, log } = parts;
  return async (proven, claimedRev) => {
    const uri = `at://${proven.did}/${proven.collection}/${proven.rkey}`;
    try {
      if (claimedRev >= proven.rev)
        await db.transaction(async (tx) => {
          for (const table of ["records", "withheld_records", "record_tombstones"])
            await tx.run(`DELETE FROM happyview_${table} WHERE uri = ? AND rev = ?`, [uri, claimedRev]);
        });
      await pipeline.ingestMany([proven]);
    } catch (error) {
      log.error("a record that was proven to be another one is not replaced", { uri, error: explain(error) });
    }
  };
}
