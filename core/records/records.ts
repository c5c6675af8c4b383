import type { LocalRecords } from "./local.ts";
import type { Database } from "../db/database.ts";
import type { Pipeline, PipelineLimits } from "./pipeline.ts";
import type { RecordStore } from "./store.ts";

/** What plugins see of records: the door in, the reads, and writes to this index alone. */
export interface Records {
  readonly pipeline: Pipeline;
  /**
   * Another pipeline with the same interceptors, for a source that must not keep live events waiting. It stops with the
   * app. During setup only.
   */
  openPipeline(options: { db: Database; limits?: PipelineLimits }): Pipeline;
  readonly store: RecordStore;
  readonly local: LocalRecords;
}
