import { createHash } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";

/** Kinds of rows, as they are on disk (jetstream §4.4). */
export const rowKind = {
  create: 1,
  update: 2,
  delete: 3,
  identity: 4,
  account: 5,
  sync: 6,
  /** A record as it is after a repo was read anew. */
  resync: 7,
} as const;

/** One event of the archive. */
export interface Row {
  seq: number;
  /** Unix microseconds. */
  witnessedAt: number;
  /** Unix microseconds; 0 for unset. */
  indexedAt: number;
  kind: number;
  did: string;
  /** Empty, like rkey and rev, for what is no commit. */
  collection: string;
  rkey: string;
  rev: string;
  /** DAG-CBOR. */
  payload: Uint8Array;
}

export interface Block {
  rows: Row[];
  /** One zstd frame. */
  frame: Buffer;
  uncompressedSize: number;
}

export interface Segment {
  bytes: Buffer;
  /** 16 hex digits. */
  checksum: string;
  blocks: Block[];
}

/** What a rewrite keeps of a segment whatever rows it loses. */
export interface Envelope {
  minSeq: number;
  maxSeq: number;
  minWitnessedAt: number;
  maxWitnessedAt: number;
}

const headerSize = 256;
const indexEntrySize = 52;

/** Names under which the collection index lists rows that are no commits. */
const markers = new Map<number, string>([
  [rowKind.identity, "$identity"],
  [rowKind.account, "$account"],
  [rowKind.sync, "$sync"],
]);

/** What the collection index calls a row. */
export function indexNameOf({ kind, collection }: Row): string {
  return markers.get(kind) ?? collection;
}

/** Columns of fixed width, then the strings and payloads of all rows, one after another (jetstream §4.4). */
export function encodeBlock(rows: readonly Row[]): Buffer {
  const count = rows.length;
  const columns = Buffer.alloc(4 + 34 * count);
  columns.writeUInt32LE(count);
  const at = (width: number, row: number, size: number): number => 4 + count * width + row * size;
  const blobs: Uint8Array[][] = [[], [], [], [], []];
  for (const [i, row] of rows.entries()) {
    const texts = [row.collection, row.did, row.rkey, row.rev].map((text) => Buffer.from(text));
    const sizes = texts.map(({ length }) => length);
    columns.writeBigUInt64LE(BigInt(row.seq), at(0, i, 8));
    columns.writeBigInt64LE(BigInt(row.witnessedAt), at(8, i, 8));
    columns.writeBigInt64LE(BigInt(row.indexedAt), at(16, i, 8));
    columns.writeUInt8(row.kind, at(24, i, 1));
    columns.writeUInt8(sizes[0] ?? 0, at(25, i, 1));
    columns.writeUInt16LE(sizes[1] ?? 0, at(26, i, 2));
    columns.writeUInt8(sizes[2] ?? 0, at(28, i, 1));
    columns.writeUInt8(sizes[3] ?? 0, at(29, i, 1));
    columns.writeUInt32LE(row.payload.length, at(30, i, 4));
    for (const [n, text] of [...texts, row.payload].entries()) blobs[n]?.push(text);
  }
  return Buffer.concat([columns, ...blobs.flat()]);
}

export function toBlock(rows: Row[]): Block {
  const body = encodeBlock(rows);
  return { rows, frame: compress(body), uncompressedSize: body.length };
}

/** A sealed file (jetstream §4.1 to §4.3). */
export function toSegment(blocks: Block[], envelope: Envelope): Segment {
  const framed = blocks.map(({ frame }) => Buffer.concat([uint64(frame.length), frame]));
  const footerOffset = headerSize + framed.reduce((sum, { length }) => sum + length, 0);
  const rows = blocks.flatMap((block) => block.rows);
  const parts = [blockIndex(blocks), noDidBloom(), noBlockBlooms(blocks.length), collectionIndex(blocks)];
  const [index = 0, didBloom = 0, blockBlooms = 0] = parts.map(({ length }) => length);
  const header = Buffer.alloc(headerSize);
  header.write("jss0", 0, "latin1");
  header.writeUInt16LE(1, 12);
  header.writeUInt32LE(blocks.length, 14);
  header.writeUInt32LE(rows.length, 18);
  header.writeUInt32LE(new Set(rows.map(({ did }) => did)).size, 22);
  header.writeBigUInt64LE(BigInt(envelope.minSeq), 26);
  header.writeBigUInt64LE(BigInt(envelope.maxSeq), 34);
  header.writeBigInt64LE(BigInt(envelope.minWitnessedAt), 42);
  header.writeBigInt64LE(BigInt(envelope.maxWitnessedAt), 50);
  header.writeBigUInt64LE(BigInt(footerOffset), 58);
  header.writeBigUInt64LE(BigInt(footerOffset + index), 66);
  header.writeBigUInt64LE(BigInt(footerOffset + index + didBloom), 74);
  header.writeBigUInt64LE(BigInt(footerOffset + index + didBloom + blockBlooms), 82);
  header.writeBigUInt64LE(BigInt(footerOffset), 90);
  const checksum = checksumOf(header.subarray(12), ...parts);
  header.writeBigUInt64LE(BigInt(`0x${checksum}`), 4);
  return { bytes: Buffer.concat([header, ...framed, ...parts]), checksum, blocks };
}

/**
 * The real server's is XXH3-64. Any other 64 bits that depend on the content do for a client: it compares them with
 * those of the ETag and the plan, and what protects a block is the checksum of its zstd frame. Zero means "not sealed".
 */
function checksumOf(...parts: Buffer[]): string {
  const digest = createHash("sha256").update(Buffer.concat(parts)).digest("hex").slice(0, 16);
  return /^0+$/.test(digest) ? "1".padStart(16, "0") : digest;
}

function blockIndex(blocks: readonly Block[]): Buffer {
  const index = Buffer.alloc(blocks.length * indexEntrySize);
  let offset = headerSize;
  for (const [i, { rows, frame, uncompressedSize }] of blocks.entries()) {
    const at = i * indexEntrySize;
    const times = rows.map(({ witnessedAt }) => witnessedAt);
    index.writeBigUInt64LE(BigInt(offset), at);
    index.writeUInt32LE(frame.length, at + 8);
    index.writeUInt32LE(uncompressedSize, at + 12);
    index.writeUInt32LE(rows.length, at + 16);
    index.writeBigUInt64LE(BigInt(rows[0]?.seq ?? 0), at + 20);
    index.writeBigUInt64LE(BigInt(rows.at(-1)?.seq ?? 0), at + 28);
    index.writeBigInt64LE(BigInt(times.length > 0 ? Math.min(...times) : 0), at + 36);
    index.writeBigInt64LE(BigInt(times.length > 0 ? Math.max(...times) : 0), at + 44);
    offset += 8 + frame.length;
  }
  return index;
}

/** Version, k, number of blocks, count: a filter that holds nothing, which no client needs. */
function noDidBloom(): Buffer {
  const bloom = Buffer.alloc(21);
  bloom.writeUInt8(1, 0);
  bloom.writeUInt32LE(1, 1);
  return bloom;
}

function noBlockBlooms(count: number): Buffer {
  const blooms = Buffer.alloc(8);
  blooms.writeUInt32LE(count);
  return blooms;
}

function collectionIndex(blocks: readonly Block[]): Buffer {
  const counts = new Map<string, number>();
  for (const row of blocks.flatMap(({ rows }) => rows)) {
    const counted = row.kind <= rowKind.delete ? 1 : 0;
    counts.set(indexNameOf(row), (counts.get(indexNameOf(row)) ?? 0) + counted);
  }
  const names = [...counts.keys()].toSorted();
  const maskSize = Math.ceil(names.length / 8);
  const entries = names.map((name) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(name.length);
    head.writeUInt32LE(counts.get(name) ?? 0, 1);
    return Buffer.concat([head, Buffer.from(name)]);
  });
  const masks = blocks.map(({ rows }) => {
    const mask = Buffer.alloc(maskSize);
    for (const row of rows) {
      const id = names.indexOf(indexNameOf(row));
      mask[id >> 3] = (mask[id >> 3] ?? 0) | (1 << (id & 7));
    }
    return mask;
  });
  const body = Buffer.concat([...entries, ...masks]);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(names.length, 0);
  head.writeUInt32LE(blocks.length, 4);
  head.writeUInt32LE(maskSize, 8);
  head.writeUInt32LE(body.length, 12);
  return Buffer.concat([head, compress(body)]);
}

/** With a checksum of the content, which is what guards a block. */
function compress(body: Buffer): Buffer {
  return zstdCompressSync(body, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
