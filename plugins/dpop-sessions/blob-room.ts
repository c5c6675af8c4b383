import { HttpError } from "../../core/index.ts";

export const maxBlobBytes: number = 50 * 1024 * 1024;

/** Memory for blobs on their way to a PDS: of the whole process, as all its apps share it. */
const maxHeldBytes = 256 * 1024 * 1024;
let held = 0;

/** Reads a body and works with it, while there is room for it. @throws HttpError 413, 503 */
export async function withBlob<T>(
  request: {
    headers: { get(name: string): string | null };
    arrayBuffer(maxBytes: number): Promise<ArrayBuffer>;
  },
  work: (body: Uint8Array<ArrayBuffer>) => Promise<T>,
): Promise<T> {
  const declared = request.headers.get("content-length");
  // Without a length it may be anything up to the limit.
  let taken = declared !== null && /^\d+$/.test(declared) ? Number(declared) : maxBlobBytes;
  if (taken > maxBlobBytes) throw tooLarge();
  if (held + taken > maxHeldBytes)
    throw new HttpError(503, "too many uploads at once; try again", { "retry-after": "1" });
  held += taken;
  try {
    const body = new Uint8Array(await request.arrayBuffer(maxBlobBytes));
    if (body.length > maxBlobBytes) throw tooLarge();
    held += body.length - taken;
    taken = body.length;
    return await work(body);
  } finally {
    held -= taken;
  }
}

function tooLarge(): HttpError {
  return new HttpError(413, "a blob has at most 50 MiB");
}
