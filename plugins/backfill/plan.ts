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
  /** The job has read its collections to their end: what is left is single accounts. */
  isSwept: boolean;
}

/**
 * A page holds 100 records of one collection; a CAR holds the repo with everything else in it, so it pays only where
 * many collections are wanted of each repo.
 */
const manyCollections = 4;

/** Chooses how a job fetches. */
export function plan(input: PlanInput): Plan {
  const { job, configured } = input;
  const asked = job.method ?? configured;
  const isAsked = job.method ? "the job asks for it" : "the config asks for it";
  if (asked && asked !== "archive") return { method: asked, why: isAsked };
  const obstacle = obstacleToArchive(input);
  if (!obstacle)
    return {
      method: "archive",
      why: asked ? isAsked : "an archive is configured and the job covers whole collections",
    };
  const { method, why } = ofHosts(input.collections.length);
  return { method, why: asked ? `${obstacle}; ${why}` : why };
}

function obstacleToArchive({ job, hasArchive, isSwept }: PlanInput): string | undefined {
  if (!hasArchive) return "an archive was asked for, but none is configured: set `archive` of backfill()";
  if (job.dids !== null) return "an archive is read for whole collections, not for single accounts";
  return isSwept ? "the archive is read, and what it lacks is asked of the hosts" : undefined;
}

function ofHosts(count: number): Plan {
  if (count >= manyCollections)
    return {
      method: "getRepo",
      why: `${count} collections of each repo: one signed export takes fewer requests than their pages`,
    };
  return {
    method: "listRecords",
    why: `${count === 1 ? "one collection" : `${count} collections`} of each repo: its pages are smaller than the whole repo`,
  };
}
