import * as zlib from "node:zlib";
import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";
import { createArchiveHttp, type ArchiveHttpParts } from "./archive/http.ts";

export interface Compression {
  /** Fetches the server's dictionary, if that is of any use; never rejects. */
  prepare(signal: AbortSignal): Promise<void>;
  /** What to ask the server for; undefined for frames as they are. */
  readonly dictionaryId: number | undefined;
  /** The server no longer has the dictionary that it gave us. */
  refused(): void;
  /** @throws Error for a frame that cannot be decompressed: from now on they must come as they are, from that one on */
  read(frame: Buffer): string;
}

/** As large as a message may be when it is decompressed (jetstream §2.3). */
export const maxMessageBytes: number = 32 * 1024 * 1024;

/** The real one has 64 KiB. */
const maxDictionaryBytes = 1024 * 1024;
const magic = Buffer.from([0x37, 0xa4, 0x30, 0xec]);

/** Half of the traffic, where the runtime and the server can do it. Nothing about it may end the stream. */
export function createCompression(parts: Omit<ArchiveHttpParts, "key"> & { log: Logger }): Compression {
  const { log } = parts;
  const http = createArchiveHttp({ ...parts, tries: 1 });
  let isOff = !supportsDictionaries();
  let current: { id: number; bytes: Buffer } | undefined;
  let refusedId: number | undefined;

  function turnOff(reason: string): void {
    log.warn("the stream is read without compression", { reason });
    isOff = true;
    current = undefined;
  }

  return {
    async prepare(signal) {
      if (isOff || current) return;
      try {
        const bytes = await http.bytes("getZstdDictionary", {}, { maxBytes: maxDictionaryBytes, signal });
        if (!bytes.subarray(0, 4).equals(magic)) throw new Error("what the server gives is no dictionary");
        const id = bytes.readUInt32LE(4);
        if (id === refusedId) turnOff(`the server refuses its own dictionary ${id}`);
        else current = { id, bytes };
      } catch (error) {
        // The next connection may have more luck.
        if (!signal.aborted) log.debug("there is no dictionary now", { reason: explain(error) });
      }
    },
    get dictionaryId() {
      return current?.id;
    },
    refused() {
      refusedId = current?.id;
      current = undefined;
    },
    read(frame) {
      try {
        if (!current) throw new Error("a compressed frame, for which nobody asked");
        const options = { dictionary: current.bytes, maxOutputLength: maxMessageBytes };
        return zlib.zstdDecompressSync(frame, options).toString("utf8");
      } catch (error) {
        turnOff(explain(error));
        throw error;
      }
    },
  };
}

/** The option came after zstd itself, and where it is unknown it does nothing. */
function supportsDictionaries(): boolean {
  if (typeof zlib.zstdCompressSync !== "function") return false;
  const text = Buffer.from(
    "did:plc:, at://, app.bsky.feed.post, network.bsky.jetstream.subscribeEvents#commit",
  );
  try {
    const small = zlib.zstdCompressSync(text, { dictionary: text });
    return (
      small.length < text.length / 2 && zlib.zstdDecompressSync(small, { dictionary: text }).equals(text)
    );
  } catch {
    return false;
  }
}
