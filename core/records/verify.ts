import { hash } from "node:crypto";
import { encode } from "@atproto/lex-cbor";
import { jsonToLex, type JsonValue } from "@atproto/lex-json";
import { ensureValidDid, ensureValidNsid, ensureValidRecordKey } from "@atproto/syntax";
import { base32 } from "multiformats/bases/base32";

// CIDv1, codec dag-cbor, hash sha2-256, 32 bytes (repository spec).
const cidPrefix = Buffer.from([0x01, 0x71, 0x12, 0x20]);

/** The CID of a record's DAG-CBOR encoding; undefined for JSON that has none (floats). */
export function computeCid(record: Record<string, unknown>): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = encode(jsonToLex(record as JsonValue)); // a record is parsed JSON
  } catch {
    return undefined;
  }
  return base32.encode(Buffer.concat([cidPrefix, hash("sha256", bytes, "buffer")]));
}

/** False only when the claimed CID is not the record's; a missing claim or an unencodable record passes (sync-and-xrpc §2.5, 3a). */
export function cidMatches(record: Record<string, unknown>, claimed: string): boolean {
  if (claimed === "") return true;
  const computed = computeCid(record);
  return computed === undefined || computed === claimed;
}

/** Why the parts of an event cannot name a record; undefined when they can. */
export function shapeProblem(did: string, collection: string, rkey: string): string | undefined {
  try {
    ensureValidDid(did);
    ensureValidNsid(collection);
    ensureValidRecordKey(rkey);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
