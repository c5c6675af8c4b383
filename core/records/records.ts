import type { LocalRecords } from "./local.ts";
import type { Pipeline } from "./pipeline.ts";
import type { RecordStore } from "./store.ts";

/** What plugins see of records: the door in, the reads, and writes to this index alone. */
export interface Records {
  readonly pipeline: Pipeline;
  readonly store: RecordStore;
  readonly local: LocalRecords;
}
