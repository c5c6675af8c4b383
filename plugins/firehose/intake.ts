import type { CommitEvent, SourceEvent, StreamPosition } from "../../core/index.ts";
import type { Pipeline } from "../../core/records/pipeline.ts";
import { cidMatches } from "../../core/records/verify.ts";
import type { Status } from "./status.ts";

/** What is checked of records whose source carries no signatures. */
export type VerifyLevel = "none" | "cid" | "sampled" | "full";

/** The way of sources into the pipeline: positions belong to the present lead, records are checked as the config asks. */
export interface Intake extends Pick<Pipeline, "ingest" | "skip"> {
  /** Checks a record and counts it, for a source that has another way into the pipeline. */
  check(event: SourceEvent): void;
  /** From now on positions are of this lead. */
  lead(epoch: number): void;
  /** Stores the position when the stream has come to its time: what is before it will have been read by then. */
  mark(position: StreamPosition & { timeUs: number }): void;
}

export interface IntakeParts {
  pipeline: Pick<Pipeline, "ingest" | "skip">;
  verify: VerifyLevel;
  isTracked: (collection: string) => boolean;
  /** Takes a record for a later proof, or not. */
  sample?: ((event: CommitEvent) => void) | undefined;
  status: Pick<Status, "verified">;
  /** How far the stream must have come past the time of a mark. */
  overlapMs: number;
}

export function createIntake(parts: IntakeParts): Intake {
  const { pipeline, verify, isTracked, sample, status, overlapMs } = parts;
  const marks = new Map<string, StreamPosition & { timeUs: number }>();
  let epoch = 0;
  let nextMarkUs = Infinity;

  function check(event: SourceEvent): void {
    if (event.kind !== "commit" || event.isVerified || !isTracked(event.collection)) return;
    if (event.record && event.action !== "delete") {
      // What does not match goes on as it is: the pipeline drops it and says so.
      if (verify !== "none" && event.cid !== "" && cidMatches(event.record, event.cid)) {
        event.isVerified = true;
        status.verified(event.collection, "cid");
      } else if (verify === "none") event.isVerified = true;
    }
    sample?.(event);
  }

  function reach(position: StreamPosition | undefined): void {
    if (!position) return;
    position.epoch = epoch;
    const { timeUs } = position;
    if (timeUs !== undefined && timeUs - overlapMs * 1000 >= nextMarkUs) passMarks(timeUs - overlapMs * 1000);
  }

  function passMarks(untilUs: number): void {
    nextMarkUs = Infinity;
    for (const mark of marks.values()) {
      if (mark.timeUs > untilUs) nextMarkUs = Math.min(nextMarkUs, mark.timeUs);
      else {
        marks.delete(mark.source);
        void pipeline.skip({ ...mark, epoch });
      }
    }
  }

  return {
    check,
    ingest(event, position) {
      check(event);
      reach(position);
      return pipeline.ingest(event, position);
    },
    skip(position) {
      reach(position);
      return pipeline.skip(position);
    },
    lead(of) {
      epoch = of;
      marks.clear();
      nextMarkUs = Infinity;
    },
    mark(position) {
      if (marks.has(position.source)) return; // a younger one would put the passing off, again and again
      marks.set(position.source, position);
      nextMarkUs = Math.min(nextMarkUs, position.timeUs);
    },
  };
}
