import { explain } from "../../../core/errors.ts";
import type { IdentityResolver } from "../../../core/identity/resolve.ts";
import { ScriptError } from "../engine/engine.ts";
import type { HostFunctions } from "../engine/host.ts";
import type { Actor } from "./actor.ts";
import { countRequest, type HttpAllowance } from "./http.ts";
import type { ScriptFetch } from "./outgoing.ts";

/** The largest blob that is read; the hosts of the network take up to 100 MB for video, 1 to 5 MB for the rest. */
export const maxBlobBytes = 50 * 1024 * 1024;
const defaultType = "application/octet-stream";

export interface BlobParts {
  identity: Pick<IdentityResolver, "pds">;
  fetch: ScriptFetch;
  /** What all runs of this process may hold at once. @default 256 MiB */
  maxHeldBytes?: number;
  /** What one run keeps; of more its oldest blobs are downloaded anew when they are used. @default 64 MiB */
  maxKeptBytes?: number;
}

type Bytes = Uint8Array<ArrayBuffer>;

interface Blob {
  readonly did: string;
  readonly cid: string;
  mimeType: string;
  /** Undefined while they are not here. */
  bytes: Bytes | undefined;
  loading: Promise<Bytes> | undefined;
  /** How many calls need the bytes now. */
  uses: number;
}

/** The blobs that one run has downloaded; the script has handles of them (lua §4.6). */
export interface RunBlobs {
  functions: HostFunctions;
  /** The run is over. */
  release(): void;
}

/** The blobs of each run. */
export type Blobs = (actor: Actor, allowance: HttpAllowance) => RunBlobs;

/** One for the process: what runs hold together is counted here. */
export function createBlobs({
  identity,
  fetch,
  maxHeldBytes = 256 * 1024 * 1024,
  maxKeptBytes = 64 * 1024 * 1024,
}: BlobParts): Blobs {
  /** Of all runs, with what is still arriving. */
  let heldBytes = 0;
  return (actor, allowance) => {
    const blobs: Blob[] = [];
    /** Those with bytes, the oldest first. */
    const kept = new Set<Blob>();
    let keptBytes = 0;
    let isOver = false;

    function drop(blob: Blob): void {
      const size = blob.bytes?.length ?? 0;
      keptBytes -= size;
      heldBytes -= size;
      blob.bytes = undefined;
      kept.delete(blob);
    }

    /** Drops the run's oldest blobs, as far as none needs them, until there is room for `size` bytes that arrive. */
    function makeRoom(size: number, arriving: number): void {
      for (const blob of kept) {
        if (keptBytes + size <= maxKeptBytes && heldBytes + arriving <= maxHeldBytes) return;
        if (blob.uses === 0) drop(blob);
      }
    }

    async function request({ did, cid }: Blob, signal: AbortSignal): Promise<Response> {
      const pds = await identity.pds(did);
      const url = `${pds}/xrpc/com.atproto.sync.getBlob?${new URLSearchParams({ did, cid })}`;
      const response = await fetch(url, {
        method: "GET",
        headers: {},
        signal,
        timeoutMs: allowance.timeoutMs,
      });
      if (response.ok) return response;
      await response.body?.cancel();
      throw new Error(`PDS returned ${response.status}`);
    }

    /** What is read has its room among the held bytes, also while it arrives. */
    async function read(body: Response["body"]): Promise<Bytes> {
      const chunks: Uint8Array[] = [];
      let size = 0;
      try {
        for await (const chunk of body ?? []) {
          allowance.used.httpBytes += chunk.length;
          makeRoom(size + chunk.length, chunk.length);
          if (heldBytes + chunk.length > maxHeldBytes)
            throw new Error("scripts hold too many blobs at once; try again later");
          heldBytes += chunk.length;
          size += chunk.length;
          chunks.push(chunk);
        }
        if (isOver) throw new Error("the run is over");
      } catch (error) {
        heldBytes -= size;
        throw error;
      }
      const bytes = new Uint8Array(size);
      let offset = 0;
      for (const chunk of chunks) {
        bytes.set(chunk, offset);
        offset += chunk.length;
      }
      return bytes;
    }

    async function download(blob: Blob, signal: AbortSignal): Promise<Bytes> {
      try {
        const response = await request(blob, signal);
        const bytes = await read(response.body);
        // Others may have come to their end meanwhile.
        makeRoom(bytes.length, 0);
        blob.mimeType ||= response.headers.get("content-type") ?? defaultType;
        blob.bytes = bytes;
        keptBytes += bytes.length;
        kept.add(blob);
        return bytes;
      } catch (error) {
        throw new ScriptError(`blob_download: ${explain(error)}`);
      } finally {
        blob.loading = undefined;
      }
    }

    /** Calls `use` with the bytes, which stay until it has ended. */
    async function withBytes<T>(
      blob: Blob,
      signal: AbortSignal,
      use: (bytes: Bytes) => T | Promise<T>,
    ): Promise<T> {
      blob.uses++;
      try {
        if (!blob.bytes && !blob.loading) countRequest(allowance);
        return await use(blob.bytes ?? (await (blob.loading ??= download(blob, signal))));
      } finally {
        blob.uses--;
        if (isOver && blob.uses === 0) drop(blob);
      }
    }

    async function upload(bytes: Bytes, mimeType: string): Promise<unknown> {
      if (!actor.session) throw new ScriptError("blob_upload: this run has no PDS session");
      let answer;
      try {
        answer = await actor.session.upload(bytes, mimeType);
      } catch (error) {
        if (error instanceof Error && error.name === "PdsAuthError")
          throw new ScriptError(`AUTH_ERROR:${error.message}`);
        throw new ScriptError(`blob_upload: ${explain(error)}`);
      }
      if (answer.status < 300) return JSON.parse(answer.body);
      throw new ScriptError(`blob_upload: PDS returned ${answer.status}: ${answer.body.slice(0, 10_000)}`);
    }

    const held = (handle: unknown): Blob => {
      const blob = blobs[Number(handle)];
      if (blob) return blob;
      throw new ScriptError("blob_upload: first argument must be a BlobHandle from blob_download()");
    };

    return {
      functions: {
        "blob.download": ([did, cid], { signal }) => {
          const blob: Blob = {
            did: String(did),
            cid: String(cid),
            mimeType: "",
            bytes: undefined,
            loading: undefined,
            uses: 0,
          };
          return withBytes(blob, signal, ({ length }) => ({
            id: blobs.push(blob) - 1,
            mimeType: blob.mimeType,
            size: length,
          }));
        },
        "blob.upload": async ([handle, mimeType], { signal }) => {
          const blob = held(handle);
          return withBytes(blob, signal, (bytes) =>
            upload(bytes, typeof mimeType === "string" ? mimeType : blob.mimeType),
          );
        },
        "blob.read": async ([handle], { signal }) =>
          withBytes(held(handle), signal, (bytes) => Buffer.from(bytes.buffer).toString("base64")),
        "blob.write": ([text, mimeType]) =>
          upload(new Uint8Array(Buffer.from(String(text), "base64")), String(mimeType)),
      },
      release() {
        isOver = true;
        for (const blob of kept) if (blob.uses === 0) drop(blob);
      },
    };
  };
}
