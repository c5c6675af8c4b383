import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { explain } from "../../../core/errors.ts";
import { ArchiveError } from "./error.ts";

/** Kinds of rows, as they are on disk (jetstream §4.4). */
export const rowKind = {
  create: 1,
  update: 2,
  delete: 3,
  identity: 4,
  account: 5,
  sync: 6,
  resync: 7,
} as const;

/** One event, as bytes. */
export interface Row {
  seq: number;
  /** Unix microseconds: when the server stored it. */
  witnessedUs: number;
  kind: number;
  did: string;
  /** Empty, like rkey, for what is no commit. */
  collection: string;
  rkey: string;
  rev: string;
  /** DAG-CBOR; lies in the memory of the whole block. */
  payload: Buffer;
}

export interface BlockFilter {
  /** Which rows by place in the stream. */
  afterSeq: number;
  throughSeq: number;
  wantsKind(kind: number): boolean;
  /** Asked for commits that name a collection. */
  wantsCollection(collection: string): boolean;
  wantsDid(did: string): boolean;
}

export interface Block {
  /** How many rows there are, wanted or not. */
  count: number;
  rows: Row[];
  /** Of the last row; undefined for a block that compaction emptied. */
  lastSeq: number | undefined;
  lastWitnessedUs: number | undefined;
}

/** Ours allow no more, whatever a block claims (jetstream §4.4): a usual one has about a megabyte. */
const maxBlockBytes: number = 256 * 1024 * 1024;
const maxRows = 262_144;
const bytesPerRow = 34;

const columns = {
  seq: 0,
  witnessed: 8,
  kind: 24,
  collectionLength: 25,
  didLength: 26,
  rkeyLength: 28,
  revLength: 29,
  payloadLength: 30,
} as const;

const unzstd = promisify(zstdDecompress);

/** @throws ArchiveError corrupt */
export async function unpackBlock(frame: Uint8Array, maxBytes: number = maxBlockBytes): Promise<Buffer> {
  try {
    // The frame has a checksum of its content, which is the only thing that guards a block (jetstream §3.2).
    return await unzstd(frame, { maxOutputLength: maxBytes });
  } catch (cause) {
    throw new ArchiveError("corrupt", `a block cannot be decompressed: ${explain(cause)}`, { cause });
  }
}

/**
 * The wanted rows of a block. Lengths are walked before anything is cut out: most blocks hold few rows that anybody
 * wants.
 * @throws ArchiveError corrupt
 */
export function readBlock(body: Buffer, filter: BlockFilter): Block {
  const count = body.length >= 4 ? body.readUInt32LE(0) : -1;
  if (count < 0 || count > maxRows) throw corrupt(`claims ${count} rows`);
  const blobs = 4 + bytesPerRow * count;
  if (body.length < blobs) throw corrupt(`ends within its columns`);
  const column = (width: number): number => 4 + count * width;
  const kindAt = column(columns.kind);
  const collectionAt = column(columns.collectionLength);
  const didAt = column(columns.didLength);
  const rkeyAt = column(columns.rkeyLength);
  const revAt = column(columns.revLength);
  const payloadAt = column(columns.payloadLength);
  const totals = [0, 0, 0, 0, 0] as [number, number, number, number, number];
  for (let i = 0; i < count; i++) {
    totals[0] += body.readUInt8(collectionAt + i);
    totals[1] += body.readUInt16LE(didAt + 2 * i);
    totals[2] += body.readUInt8(rkeyAt + i);
    totals[3] += body.readUInt8(revAt + i);
    totals[4] += body.readUInt32LE(payloadAt + 4 * i);
  }
  const size = blobs + totals[0] + totals[1] + totals[2] + totals[3] + totals[4];
  if (size !== body.length) throw corrupt(`has ${body.length} bytes where its columns say ${size}`);

  const rows: Row[] = [];
  let collectionOffset = blobs;
  let didOffset = collectionOffset + totals[0];
  let rkeyOffset = didOffset + totals[1];
  let revOffset = rkeyOffset + totals[2];
  let payloadOffset = revOffset + totals[3];
  let lastSeq = 0;
  for (let i = 0; i < count; i++) {
    const seq = toNumber(body, column(columns.seq) + 8 * i);
    const kind = body.readUInt8(kindAt + i);
    const collectionEnd = collectionOffset + body.readUInt8(collectionAt + i);
    const didEnd = didOffset + body.readUInt16LE(didAt + 2 * i);
    const rkeyEnd = rkeyOffset + body.readUInt8(rkeyAt + i);
    const revEnd = revOffset + body.readUInt8(revAt + i);
    const payloadEnd = payloadOffset + body.readUInt32LE(payloadAt + 4 * i);
    if (kind < rowKind.create || kind > rowKind.resync) throw corrupt(`has a row of the kind ${kind}`);
    // What follows relies on it: rows at or below the last one that was given out are left out.
    if (seq <= lastSeq) throw corrupt(`has seq ${seq} after ${lastSeq}`);
    lastSeq = seq;
    if (seq > filter.afterSeq && seq <= filter.throughSeq && filter.wantsKind(kind)) {
      const collection = body.toString("latin1", collectionOffset, collectionEnd);
      if (collection === "" || !isCommit(kind) || filter.wantsCollection(collection)) {
        const did = body.toString("utf8", didOffset, didEnd);
        if (filter.wantsDid(did))
          rows.push({
            seq,
            witnessedUs: toNumber(body, column(columns.witnessed) + 8 * i),
            kind,
            did,
            collection,
            rkey: body.toString("utf8", rkeyOffset, rkeyEnd),
            rev: body.toString("utf8", revOffset, revEnd),
            payload: body.subarray(payloadOffset, payloadEnd),
          });
      }
    }
    collectionOffset = collectionEnd;
    didOffset = didEnd;
    rkeyOffset = rkeyEnd;
    revOffset = revEnd;
    payloadOffset = payloadEnd;
  }
  return {
    count,
    rows,
    lastSeq: count > 0 ? lastSeq : undefined,
    lastWitnessedUs: count > 0 ? toNumber(body, column(columns.witnessed) + 8 * (count - 1)) : undefined,
  };
}

export function isCommit(kind: number): boolean {
  return kind <= rowKind.delete || kind === rowKind.resync;
}

/** @throws ArchiveError corrupt for what no number holds */
function toNumber(body: Buffer, at: number): number {
  const value = body.readUInt32LE(at) + body.readUInt32LE(at + 4) * 2 ** 32;
  if (!Number.isSafeInteger(value)) throw corrupt(`has a seq or time out of range`);
  return value;
}

function corrupt(what: string): ArchiveError {
  return new ArchiveError("corrupt", `a block ${what}`);
}
