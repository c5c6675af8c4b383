import { explain } from "../../../core/errors.ts";
import type { SourceEvent } from "../../../core/index.ts";
import { runAhead } from "./ahead.ts";
import { readBlock, unpackBlock, type Block, type BlockFilter } from "./block.ts";
import { ArchiveError, troubleOf } from "./error.ts";
import { toFilter, type Wanted } from "./filter.ts";
import { createArchiveHttp, type ArchiveHttp, type ArchiveHttpParts } from "./http.ts";
import { createPlanner, type PlannedSegment } from "./plan.ts";
import { toEvent } from "./row.ts";
import { maxFrameBytes, readSegment } from "./segment.ts";

export interface SweepOptions extends Wanted {
  /** Rows up to this seq are left out; 0 for none. */
  afterSeq: number;
  /** Ends there instead of at the end of the archive as it is when the sweep begins. */
  throughSeq?: number | undefined;
  signal: AbortSignal;
}

/** An event, and where in the stream of this server it is. */
export interface ArchivedEvent {
  seq: number;
  /** Unix microseconds: when the server stored it. */
  witnessedUs: number;
  event: SourceEvent;
}

/** A piece of the archive. */
export interface Stretch {
  /** In the order of their seqs. */
  events: ArchivedEvent[];
  /** The account of each wanted row that cannot be read. */
  unreadable: string[];
  /** All wanted events up to here have been given out, with this stretch. */
  throughSeq: number;
  /** When the server stored what is there; undefined before the first block. */
  witnessedUs: number | undefined;
  /** Where the sweep ends; what comes later is the socket's (jetstream §5.1). */
  tipSeq: number;
  /** Of this sweep so far. */
  totals: Readonly<SweepTotals>;
}

type Taken = Pick<Stretch, "events" | "unreadable">;

export interface SweepTotals {
  /** Compressed blocks. */
  bytes: number;
  blocks: number;
  rows: number;
  /** Rows that were wanted. */
  events: number;
  /** Wanted rows that cannot be read. */
  unreadable: number;
}

/** What is sealed of a Jetstream's stream, over HTTP (jetstream §3, §5). */
export interface Archive {
  /**
   * Events in the order of their seqs, as many times as they are in the log: creates of what is dead come before its
   * delete. Ends at the last one that was sealed when it began. Nothing is fetched that is not asked for, but for a few
   * blocks ahead.
   * @throws ArchiveError; all that was given out before stays good, and another sweep goes on after the last `throughSeq`
   */
  sweep(options: SweepOptions): AsyncGenerator<Stretch, void>;
  /**
   * Where to begin in order to miss nothing after a place that may be another server's: the seq itself where its time
   * agrees with this archive, and else the last one that is surely older. 0 when nothing is.
   * @throws ArchiveError
   */
  startOf(place: { seq?: number; timeUs?: number | undefined }, signal: AbortSignal): Promise<number>;
}

export interface ArchiveParts extends ArchiveHttpParts {
  /** Blocks fetched at once. @default 8 */
  parallel?: number;
  /** Told of rows that cannot be read, which are left out. */
  onUnreadable?: (reason: string) => void;
}

/** Blocks unpacked ahead: each may have 256 MB then, if the server is not what it should be. */
const unpackedAhead = 2;

/** Plans of which so many in a row bring nothing are no plans. */
const maxStuck = 5;

/** Clocks differ, and an index may have been read from several sources. */
const slackUs = 10 * 60 * 1e6;

const maxListPages = 10_000;

export function createArchive(parts: ArchiveParts): Archive {
  const { parallel = 8, onUnreadable } = parts;
  const http = createArchiveHttp(parts);

  return {
    async *sweep({ afterSeq, throughSeq, signal, ...wanted }) {
      const over = new AbortController();
      const reader = createReader({ http, signal: AbortSignal.any([over.signal, signal]) });
      const planner = createPlanner(http, wanted);
      const totals: SweepTotals = { bytes: 0, blocks: 0, rows: 0, events: 0, unreadable: 0 };
      let tipSeq = throughSeq;
      let reached = afterSeq;
      let witnessedUs: number | undefined;

      function toStretch(taken: Taken, through: number, tip: number): Stretch {
        reached = Math.max(reached, Math.min(through, tip));
        return { ...taken, throughSeq: reached, witnessedUs, tipSeq: tip, totals: { ...totals } };
      }

      function take({ block, bytes }: Unpacked): Taken {
        totals.bytes += bytes;
        totals.blocks += 1;
        totals.rows += block.count;
        witnessedUs = block.lastWitnessedUs ?? witnessedUs;
        const events: ArchivedEvent[] = [];
        const unreadable: string[] = [];
        for (const row of block.rows) {
          if (row.seq <= reached) continue; // a block that comes twice
          try {
            events.push({ seq: row.seq, witnessedUs: row.witnessedUs, event: toEvent(row) });
          } catch (error) {
            totals.unreadable += 1;
            unreadable.push(row.did);
            onUnreadable?.(`row ${row.seq} of the archive, of ${row.did}: ${explain(error)}`);
          }
        }
        totals.events += events.length;
        return { events, unreadable };
      }

      try {
        for (let stuck = 0; stuck < maxStuck;) {
          const before = reached;
          const page = await planner.page({ afterSeq: reached, throughSeq: tipSeq }, signal);
          tipSeq ??= page.tipSeq;
          if (tipSeq <= reached) return;
          const filter = { ...toFilter(wanted), afterSeq: reached, throughSeq: tipSeq };
          try {
            const frames = runAhead(reader.fetching(page.segments), parallel);
            const blocks = runAhead(reader.unpacking(frames, filter), unpackedAhead);
            for await (const one of blocks) {
              const taken = take(one);
              yield toStretch(taken, one.block.lastSeq ?? 0, tipSeq);
            }
            if (page.throughSeq <= before)
              throw new ArchiveError("stuck", `the plan of the archive does not go beyond seq ${before}`);
            yield toStretch({ events: [], unreadable: [] }, page.throughSeq, tipSeq);
          } catch (error) {
            if (troubleOf(error) !== "gone") throw error;
            // The plan is older than the archive: there is a new one from here on.
            stuck = reached > before ? 0 : stuck + 1;
          }
          if (reached >= tipSeq) return;
        }
        throw new ArchiveError("stuck", `the archive does not have what it plans after seq ${reached}`);
      } finally {
        over.abort();
      }
    },

    async startOf({ seq, timeUs }, signal) {
      let before = 0;
      for await (const segment of listSegments(http, signal)) {
        const { minSeq, maxSeq, minWitnessedAt, maxWitnessedAt } = segment;
        if (seq !== undefined && seq >= minSeq && seq <= maxSeq) {
          const isThen =
            timeUs === undefined || isWithin(timeUs, minWitnessedAt - slackUs, maxWitnessedAt + slackUs);
          if (isThen) return seq;
        }
        if (timeUs !== undefined && maxWitnessedAt < timeUs - slackUs) before = Math.max(before, maxSeq);
      }
      return timeUs === undefined && seq !== undefined ? seq : before;
    },
  };
}

interface Unpacked {
  block: Block;
  /** As it was downloaded. */
  bytes: number;
}

/** A block as it came. */
interface Fetched {
  segment: string;
  index: number;
  frame: Buffer;
}

interface Reader {
  /** One task for each block of a plan, in their order. */
  fetching(segments: readonly PlannedSegment[]): AsyncGenerator<() => Promise<Fetched>>;
  unpacking(blocks: AsyncIterable<Fetched>, filter: BlockFilter): AsyncGenerator<() => Promise<Unpacked>>;
}

function createReader({ http, signal }: { http: ArchiveHttp; signal: AbortSignal }): Reader {
  const fetchBlock = (segment: string, blockIndex: number): Promise<Buffer> =>
    http.bytes("getBlock", { segment, blockIndex }, { maxBytes: maxFrameBytes, signal });

  const unpack = async (frame: Buffer, filter: BlockFilter): Promise<Unpacked> => ({
    block: readBlock(await unpackBlock(frame), filter),
    bytes: frame.length,
  });

  /** A block that is not what it should be may have been damaged on its way, once (jetstream §5.4). */
  async function unpackOrRefetch({ segment, index, frame }: Fetched, filter: BlockFilter): Promise<Unpacked> {
    try {
      return await unpack(frame, filter);
    } catch (error) {
      if (troubleOf(error) !== "corrupt") throw error;
    }
    try {
      return await unpack(await fetchBlock(segment, index), filter);
    } catch (error) {
      if (troubleOf(error) !== "corrupt") throw error;
      throw new ArchiveError("corrupt", `block ${index} of ${segment}: ${explain(error)}`, { cause: error });
    }
  }

  return {
    async *fetching(segments) {
      for (const { name: segment, blocks } of segments) {
        if (blocks)
          for (const { first, last } of blocks)
            for (let index = first; index <= last; index++)
              yield async () => ({ segment, index, frame: await fetchBlock(segment, index) });
        else
          for await (const { index, bytes: frame } of readSegment(http, segment, signal))
            yield async () => ({ segment, index, frame });
      }
    },
    async *unpacking(blocks, filter) {
      for await (const block of blocks) yield () => unpackOrRefetch(block, filter);
    },
  };
}

interface ListedSegment {
  minSeq: number;
  maxSeq: number;
  minWitnessedAt: number;
  maxWitnessedAt: number;
}

async function* listSegments(http: ArchiveHttp, signal: AbortSignal): AsyncGenerator<ListedSegment> {
  let cursor: string | undefined;
  for (let page = 0; page < maxListPages; page++) {
    const params = { limit: 1000, ...(cursor === undefined ? {} : { cursor }) };
    // What is no number fails every comparison.
    const answer = (await http.query("listSegments", params, signal)) as {
      segments?: ListedSegment[];
      cursor?: unknown;
    };
    if (!Array.isArray(answer.segments)) throw new ArchiveError("corrupt", "the list of segments is none");
    yield* answer.segments;
    if (typeof answer.cursor !== "string" || answer.cursor === cursor) return;
    cursor = answer.cursor;
  }
}

function isWithin(value: number, from: number, to: number): boolean {
  return value >= from && value <= to;
}
