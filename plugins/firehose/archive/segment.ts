import { explain } from "../../../core/errors.ts";
import { ArchiveError, troubleOf } from "./error.ts";
import type { ArchiveHttp, Download } from "./http.ts";

/** One block, still compressed. */
export interface Frame {
  index: number;
  bytes: Buffer;
}

/** A frame above this is refused: a usual one has a third of a megabyte. */
export const maxFrameBytes: number = 64 * 1024 * 1024;

const headerSize = 256;
/** A file that changes while it is read, or is not what it should be, is begun anew so often. */
const tries = 2;
/** A connection that breaks is taken up again so often without any progress. */
const breaks = 4;

/**
 * The blocks of a segment, in their order, from one download that is taken up again where it broke. A file that was
 * rewritten meanwhile begins anew, so that a block may come twice; two generations are never mixed within one.
 * @throws ArchiveError
 */
export async function* readSegment(
  http: ArchiveHttp,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Frame> {
  for (let attempt = 1; ; attempt++) {
    const file = new SegmentFile(http, name, signal);
    try {
      yield* framesOf(file, name);
      return;
    } catch (error) {
      if (troubleOf(error) !== "corrupt" || attempt > tries) throw error;
    } finally {
      await file.close();
    }
  }
}

async function* framesOf(file: SegmentFile, name: string): AsyncGenerator<Frame> {
  const header = await file.read(headerSize);
  if (header.toString("latin1", 0, 4) !== "jss0") throw corrupt(name, "is no segment");
  if (header.readUInt16LE(12) !== 1) throw corrupt(name, `is of version ${header.readUInt16LE(12)}`);
  const blockCount = header.readUInt32LE(14);
  const footerOffset = Number(header.readBigUInt64LE(58));
  if (!(footerOffset >= headerSize + blockCount * 8)) throw corrupt(name, "has no room for its blocks");
  for (let index = 0; index < blockCount; index++) {
    const length = Number((await file.read(8)).readBigUInt64LE(0));
    if (length > maxFrameBytes || file.offset + length > footerOffset)
      throw corrupt(name, `has a block ${index} of ${length} bytes`);
    yield { index, bytes: await file.read(length) };
  }
  if (file.offset !== footerOffset) throw corrupt(name, "has its footer in another place than it says");
}

class SegmentFile {
  readonly #http: ArchiveHttp;
  readonly #name: string;
  readonly #signal: AbortSignal;
  /** What is read next. */
  offset = 0;
  #download: Download | undefined;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #ahead: Uint8Array[] = [];
  #aheadBytes = 0;
  #etag: string | undefined;
  #breaks = 0;

  constructor(http: ArchiveHttp, name: string, signal: AbortSignal) {
    this.#http = http;
    this.#name = name;
    this.#signal = signal;
  }

  /** @throws ArchiveError corrupt when the file ends before */
  async read(length: number): Promise<Buffer> {
    while (this.#aheadBytes < length) await this.#fetchMore();
    const [first = Buffer.alloc(0), ...rest] = this.#ahead;
    const all = rest.length > 0 ? Buffer.concat(this.#ahead) : viewOf(first);
    this.#ahead = all.length > length ? [all.subarray(length)] : [];
    this.#aheadBytes = all.length - length;
    this.offset += length;
    return all.subarray(0, length);
  }

  async close(): Promise<void> {
    await this.#chunks?.return?.();
  }

  async #fetchMore(): Promise<void> {
    this.#chunks ??= await this.#open();
    const chunks = this.#chunks;
    let failure = "ended early";
    const piece = await chunks.next().catch((error: unknown) => {
      if (troubleOf(error) !== undefined) throw error;
      failure = explain(error);
    });
    if (piece && !piece.done) {
      this.#ahead.push(piece.value);
      this.#aheadBytes += piece.value.length;
      this.#breaks = 0;
      return;
    }
    this.#signal.throwIfAborted();
    const position = this.offset + this.#aheadBytes;
    if (piece?.done && position === this.#download?.size) throw corrupt(this.#name, "ends too early");
    this.#breaks += 1;
    if (this.#breaks > breaks)
      throw new ArchiveError("unreachable", `the download of ${this.#name} breaks: ${failure}`);
    this.#chunks = undefined;
  }

  async #open(): Promise<AsyncIterator<Uint8Array>> {
    const from = this.offset + this.#aheadBytes;
    const etag = this.#etag;
    const download = await this.#http.download(
      "getSegment",
      { name: this.#name },
      { from, etag, signal: this.#signal },
    );
    this.#download = download;
    this.#etag = download.etag || undefined;
    const chunks = download.chunks[Symbol.asyncIterator]();
    if (download.from === from && (etag === undefined || etag === download.etag)) return chunks;
    await chunks.return?.();
    throw corrupt(this.#name, "was rewritten while it was read");
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function corrupt(name: string, what: string): ArchiveError {
  return new ArchiveError("corrupt", `${name} of the archive ${what}`);
}
