import type { JobRow } from "./job.ts";

/** `listRecords` page by page, the whole repo as a signed CAR, or the archive of a Jetstream. */
export const methods = ["listRecords", "getRepo", "archive"] as const;
export type Method = (typeof methods)[number];

export interface Plan {
  method: Method;
  why: string;
}

export interface PlanInput {
  job: Pick<JobRow, "method" | "dids">;
  collections: readonly string[];
  /** The method of the config, which a job overrides. */
  configured: Method | undefined;
  hasArchive: boolean;
}

/**
 * A page holds 100 records of one collection; a CAR holds the repo with everything else in it, so it pays only where
 * many collections are wanted of each repo.
 */
const manyCollections = 4;

/** Chooses how a job fetches. */
export function plan({ job, collections, configured, hasArchive }: PlanInput): Plan {
  const asked = job.method ?? configured;
  if (asked === "archive" && !hasArchive)
    return {
      method: "listRecords",
      why: "an archive was asked for, but none is configured: set `archive` of backfill()",
    };
  if (asked) return { method: asked, why: job.method ? "the job asks for it" : "the config asks for it" };
  if (hasArchive && job.dids === null)
    return { method: "archive", why: "an archive is configured and the job covers whole collections" };
  if (collections.length >= manyCollections)
    return {
      method: "getRepo",
      why: `${collections.length} collections of each repo: one signed export takes fewer requests than their pages`,
    };
  return {
    method: "listRecords",
    why: `${collections.length === 1 ? "one collection" : `${collections.length} collections`} of each repo: its pages are smaller than the whole repo`,
  };
}
