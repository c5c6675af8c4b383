import type { Pipeline } from "./pipeline.ts";
import type { RecordStore } from "./store.ts";

/** What plugins see of records: the door in, and the reads. */
export interface Records {
  readonly pipeline: Pipeline;
  readonly store: RecordStore;
}
