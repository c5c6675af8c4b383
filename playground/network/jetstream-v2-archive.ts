import { decode } from "@atproto/lex-cbor";
import {
  indexNameOf,
  rowKind,
  toBlock,
  toSegment,
  type Envelope,
  type Row,
  type Segment,
} from "./jetstream-v2-segment.ts";
import { XrpcError } from "./xrpc-error.ts";

export interface SealedSegment extends Segment, Envelope {
  name: string;
  index: number;
}

export interface PlanRequest {
  kinds?: string[];
  dids?: string[];
  collections?: string[];
  afterSeq?: number;
  beforeSeq?: number;
}

export interface PlanLimits {
  /** Whole segments and ranges on one page. */
  maxEntries: number;
  /** A segment of which so large a share is wanted is planned whole. */
  wholeSegmentShare: number;
}

/** What is sealed, and what is going to be. */
export class SegmentStore {
  readonly segments: SealedSegment[] = [];
  #active: Row[] = [];

  add(row: Row): void {
    this.#active.push(row);
  }

  find(name: string | null): SealedSegment {
    if (!name || !/^seg_[0-9a-z]{10}\.jss$/.test(name))
      throw new XrpcError(400, "InvalidRequest", "malformed segment name");
    const found = this.segments.find((segment) => segment.name === name);
    if (!found) throw new XrpcError(404, "SegmentNotFound", `no such segment: ${name}`);
    return found;
  }

  /** Closes the active segment; undefined when it is empty. */
  seal(rowsPerBlock: number): SealedSegment | undefined {
    const rows = this.#active;
    const first = rows[0];
    const last = rows.at(-1);
    if (!first || !last) return undefined;
    this.#active = [];
    const blocks: Row[][] = [];
    for (let i = 0; i < rows.length; i += rowsPerBlock) blocks.push(rows.slice(i, i + rowsPerBlock));
    const index = this.segments.length;
    const envelope = {
      minSeq: first.seq,
      maxSeq: last.seq,
      minWitnessedAt: first.witnessedAt,
      maxWitnessedAt: last.witnessedAt,
    };
    const sealed = {
      name: `seg_${index.toString(36).padStart(10, "0")}.jss`,
      index,
      ...envelope,
      ...toSegment(blocks.map(toBlock), envelope),
    };
    this.segments.push(sealed);
    return sealed;
  }

  /** Takes versions away that something later in the archive supersedes; blocks stay, if need be empty (jetstream §3.2). */
  compact(): void {
    const rows = this.segments.flatMap(({ blocks }) => blocks.flatMap((block) => block.rows));
    const latest = new Map<string, number>();
    const tombstones = new Map<string, number>();
    for (const row of rows) {
      if (isCommit(row)) latest.set(pathOf(row), row.seq);
      if (row.kind === rowKind.sync || isDeletion(row)) tombstones.set(row.did, row.seq);
    }
    const isSuperseded = (row: Row): boolean =>
      isCommit(row) &&
      row.kind !== rowKind.delete &&
      (row.seq < (latest.get(pathOf(row)) ?? 0) || row.seq < (tombstones.get(row.did) ?? 0));
    for (const [i, segment] of this.segments.entries()) {
      const blocks = segment.blocks.map((block) =>
        block.rows.some(isSuperseded) ? toBlock(block.rows.filter((row) => !isSuperseded(row))) : block,
      );
      this.segments[i] = { ...segment, ...toSegment(blocks, segment) };
    }
  }

  /** Which blocks to read for a filter: whole ones, never too few (jetstream §3.1). */
  plan(request: PlanRequest, { maxEntries, wholeSegmentShare }: PlanLimits): Record<string, unknown> {
    const { afterSeq = 0, beforeSeq = Infinity } = request;
    if (beforeSeq <= afterSeq)
      throw new XrpcError(400, "InvalidRequest", "beforeSeq must be greater than afterSeq");
    const wanted = wants(request);
    const tip = Math.min(this.segments.at(-1)?.maxSeq ?? 0, beforeSeq);
    const planned: Record<string, unknown>[] = [];
    const stats = { segmentsExamined: 0, segmentsMatched: 0, blocksMatched: 0, entries: 0 };
    let throughSeq = tip;
    for (const segment of this.segments) {
      if (segment.maxSeq <= afterSeq || segment.minSeq > beforeSeq) continue;
      stats.segmentsExamined += 1;
      const matching = [...segment.blocks.keys()].filter((i) =>
        segment.blocks[i]?.rows.some((row) => row.seq > afterSeq && row.seq <= beforeSeq && wanted(row)),
      );
      if (matching.length === 0) continue;
      const room = maxEntries - stats.entries;
      const { name, index, checksum, minSeq, maxSeq } = segment;
      const described = { name, index, checksum, minSeq, maxSeq };
      const isWhole = matching.length / segment.blocks.length >= wholeSegmentShare;
      const ranges = isWhole ? [] : rangesOf(matching);
      if (room > 0) {
        stats.segmentsMatched += 1;
        stats.blocksMatched += matching.length;
        stats.entries += isWhole ? 1 : Math.min(room, ranges.length);
        planned.push(
          isWhole
            ? { ...described, mode: "segment" }
            : { ...described, mode: "blocks", blocks: ranges.slice(0, room) },
        );
      }
      if (room > 0 && (isWhole || ranges.length <= room)) {
        if (stats.entries === maxEntries) throughSeq = maxSeq;
        continue;
      }
      const last = room > 0 ? ranges[room - 1]?.last : undefined;
      if (last !== undefined) throughSeq = segment.blocks[last]?.rows.at(-1)?.seq ?? throughSeq;
      break;
    }
    return {
      sealedTipSeq: tip,
      plannedThroughSeq: Math.min(throughSeq, tip),
      segments: planned,
      stats,
    };
  }
}

function wants({ kinds, dids, collections }: PlanRequest): (row: Row) => boolean {
  const isWanted = matcher(collections);
  return (row) =>
    (!dids?.length || dids.includes(row.did)) &&
    (!kinds?.length || kinds.includes(kindName(row))) &&
    (!isCommit(row) || isWanted(row.collection));
}

/** Exact names and `<prefix>.*`; none at all match everything. */
export function matcher(patterns: readonly string[] | undefined): (collection: string) => boolean {
  if (!patterns?.length) return () => true;
  const exact = new Set(patterns);
  const prefixes = patterns.filter((one) => one.endsWith(".*")).map((one) => one.slice(0, -1));
  return (collection) => exact.has(collection) || prefixes.some((prefix) => collection.startsWith(prefix));
}

export function kindName(row: Row): string {
  return isCommit(row) ? "commit" : indexNameOf(row).slice(1);
}

export function isCommit({ kind }: Row): boolean {
  return kind <= rowKind.delete || kind === rowKind.resync;
}

function isDeletion({ kind, payload }: Row): boolean {
  return kind === rowKind.account && (decode(payload) as { status?: unknown }).status === "deleted"; // a map, as `toRow` makes it
}

function pathOf({ did, collection, rkey }: Row): string {
  return `${did}/${collection}/${rkey}`;
}

function rangesOf(indexes: readonly number[]): { first: number; last: number }[] {
  const ranges: { first: number; last: number }[] = [];
  for (const index of indexes) {
    const open = ranges.at(-1);
    if (open && open.last === index - 1) open.last = index;
    else ranges.push({ first: index, last: index });
  }
  return ranges;
}
