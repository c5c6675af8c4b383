import { isValidNsid } from "@atproto/syntax";
import { isCount, isObject } from "../decode.ts";
import { covered } from "../filter.ts";
import { ArchiveError, troubleOf } from "./error.ts";
import type { Wanted } from "./filter.ts";
import type { ArchiveHttp } from "./http.ts";

export interface PlannedSegment {
  name: string;
  /** Ranges of blocks, both ends included; undefined for the whole segment. */
  blocks: { first: number; last: number }[] | undefined;
}

/** What to read next. */
export interface Page {
  /** The end of the sealed archive. */
  tipSeq: number;
  /** What this page accounts for. */
  throughSeq: number;
  segments: PlannedSegment[];
}

export interface Planner {
  /** `throughSeq` pins the end, so that what is sealed meanwhile does not move it. */
  page(place: { afterSeq: number; throughSeq: number | undefined }, signal: AbortSignal): Promise<Page>;
}

/** The planner of the launched server, and of the one before (jetstream §0, §3.1). */
const generations = [
  { method: "planSnapshot", maxCollections: 100, maxDids: 10_000 },
  { method: "planBackfill", maxCollections: 25, maxDids: 1000 },
] as const;

type Generation = (typeof generations)[number];

const maxSegments = 1_000_000;

export function createPlanner(http: ArchiveHttp, wanted: Wanted): Planner {
  let generation: Generation = generations[0];

  async function ask(body: Record<string, unknown>, signal: AbortSignal): Promise<unknown> {
    try {
      return await http.procedure(generation.method, { ...toRequest(wanted, generation), ...body }, signal);
    } catch (error) {
      if (generation === generations[1] || !isUnknownMethod(error)) throw error;
      generation = generations[1];
      return ask(body, signal);
    }
  }

  return {
    async page({ afterSeq, throughSeq }, signal) {
      const body = {
        ...(afterSeq > 0 ? { afterSeq } : {}),
        ...(throughSeq === undefined ? {} : { beforeSeq: throughSeq }),
      };
      return toPage(await ask(body, signal));
    },
  };
}

/** A filter that is too long is left to us: a plan may be too large, and never too small. */
function toRequest({ collections, dids, kinds }: Wanted, { maxCollections, maxDids }: Generation): object {
  const names = collections && covered(collections, maxCollections);
  // Without any name the plan would be the whole archive.
  if (collections && !collections.some((name) => isValidNsid(name)))
    throw new ArchiveError("refused", "none of the collections that are wanted of the archive is an NSID");
  return {
    ...(names && names.length > 0 ? { collections: names } : {}),
    ...(dids && dids.length > 0 && dids.length <= maxDids ? { dids } : {}),
    ...(kinds ? { kinds } : {}),
  };
}

function isUnknownMethod(error: unknown): boolean {
  const status = error instanceof ArchiveError ? error.status : undefined;
  return troubleOf(error) === "refused" && (status === 404 || status === 501);
}

/** @throws ArchiveError corrupt */
function toPage(answer: unknown): Page {
  if (!isObject(answer)) throw invalid("is not an object");
  const { sealedTipSeq, plannedThroughSeq, segments = [] } = answer;
  if (!isCount(sealedTipSeq) || !isCount(plannedThroughSeq)) throw invalid("has no seqs");
  if (!Array.isArray(segments) || segments.length > maxSegments) throw invalid("has no list of segments");
  return { tipSeq: sealedTipSeq, throughSeq: plannedThroughSeq, segments: segments.map(toSegment) };
}

function toSegment(segment: unknown): PlannedSegment {
  if (!isObject(segment)) throw invalid("has a segment that is not an object");
  const { name, mode, blocks } = segment;
  if (typeof name !== "string" || !/^seg_[0-9a-z]{10}\.jss$/.test(name))
    throw invalid("has a segment without a name");
  if (mode === "segment") return { name, blocks: undefined };
  if (mode !== "blocks" || !Array.isArray(blocks)) throw invalid(`has a segment in the mode ${String(mode)}`);
  return { name, blocks: blocks.map(toRange) };
}

function toRange(range: unknown): { first: number; last: number } {
  if (!isObject(range)) throw invalid("has a range that is not an object");
  const { first, last } = range;
  if (!isCount(first) || !isCount(last) || last < first || last >= 2 ** 32)
    throw invalid("has a range that is none");
  return { first, last };
}

function invalid(what: string): ArchiveError {
  return new ArchiveError("corrupt", `the plan of the archive ${what}`);
}
