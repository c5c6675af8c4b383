import { explain } from "../../../core/errors.ts";
import type { IdentityResolver } from "../../../core/identity/resolve.ts";
import { ScriptError } from "../engine/engine.ts";
import type { HostFunctions } from "../engine/host.ts";
import type { Actor } from "./actor.ts";
import type { ScriptFetch } from "./outgoing.ts";

/** The largest blob that is read; the hosts of the network take up to 100 MB for video, 1 to 5 MB for the rest. */
export const maxBlobBytes = 50 * 1024 * 1024;
const defaultType = "application/octet-stream";

export interface BlobParts {
  identity: Pick<IdentityResolver, "pds">;
  fetch: ScriptFetch;
  /** What all runs of this process may hold at once. @default 256 MiB */
  maxHeldBytes?: number;
}

interface Blob {
  bytes: Uint8Array<ArrayBuffer>;
  mimeType: string;
}

/** The blobs that one run has downloaded stay here; the script has handles of them (lua §4.6). */
export interface RunBlobs {
  functions: HostFunctions;
  /** The run is over. */
  release(): void;
}

export function createBlobs({
  identity,
  fetch,
  maxHeldBytes = 256 * 1024 * 1024,
}: BlobParts): (actor: Actor) => RunBlobs {
  let heldBytes = 0;
  return (actor) => {
    const blobs: Blob[] = [];

    async function download(did: string, cid: string, signal: AbortSignal): Promise<Blob> {
      const pds = await identity.pds(did);
      const url = `${pds}/xrpc/com.atproto.sync.getBlob?${new URLSearchParams({ did, cid })}`;
      const response = await fetch(url, { method: "GET", headers: {}, signal });
      if (!response.ok) {
        await response.body?.cancel();
        throw new Error(`PDS returned ${response.status}`);
      }
      const mimeType = response.headers.get("content-type") ?? defaultType;
      return { bytes: new Uint8Array(await response.arrayBuffer()), mimeType };
    }

    async function upload(bytes: Uint8Array<ArrayBuffer>, mimeType: string): Promise<unknown> {
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
        "blob.download": async ([did, cid], { signal }) => {
          const blob = await download(String(did), String(cid), signal).catch((error: unknown) => {
            throw new ScriptError(`blob_download: ${explain(error)}`);
          });
          if (heldBytes + blob.bytes.length > maxHeldBytes)
            throw new ScriptError("blob_download: scripts hold too many blobs at once; try again later");
          heldBytes += blob.bytes.length;
          return { id: blobs.push(blob) - 1, mimeType: blob.mimeType, size: blob.bytes.length };
        },
        "blob.upload": ([handle, mimeType]) => {
          const blob = held(handle);
          return upload(blob.bytes, typeof mimeType === "string" ? mimeType : blob.mimeType);
        },
        "blob.read": ([handle]) => Buffer.from(held(handle).bytes).toString("base64"),
        "blob.write": ([text, mimeType]) =>
          upload(new Uint8Array(Buffer.from(String(text), "base64")), String(mimeType)),
      },
      release() {
        for (const { bytes } of blobs.splice(0)) heldBytes -= bytes.length;
      },
    };
  };
}
