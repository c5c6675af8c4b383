import { hash } from "node:crypto";
import { encode } from "@atproto/lex-cbor";
import { CBOR_DATA_CODEC, createCid, type LexMap, SHA256_HASH_CODE } from "@atproto/lex-data";
import { type JsonValue, jsonToLex, lexToJson } from "@atproto/lex-json";
import type { JsonRecord } from "./event.ts";
import { XrpcError } from "./xrpc-error.ts";

/** The data model form of a record given as JSON. */
export function toLexRecord(record: JsonRecord): LexMap {
  try {
    // A record came from JSON or could go there; jsonToLex refuses what is not data model.
    const lex = jsonToLex(record as JsonValue, { strict: true });
    encode(lex);
    return lex as LexMap; // an object stays a map: strict mode refuses a record that is itself a $link or $bytes
  } catch (cause) {
    throw new XrpcError(400, "InvalidRequest", `record is not valid in the data model: ${String(cause)}`, {
      cause,
    });
  }
}

/** The JSON form with sorted keys, which is how Jetstream prints records. */
export function toSortedJson(record: LexMap): JsonRecord {
  return sortKeys(lexToJson(record)) as JsonRecord; // a map's JSON form is an object
}

/** The CID of a record without links or bytes, computed synchronously: the event generator lives on it. */
export function cidOfPlainRecord(record: LexMap): string {
  return createCid(CBOR_DATA_CODEC, SHA256_HASH_CODE, hash("sha256", encode(record), "buffer")).toString();
}

function sortKeys(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).flatMap(([key, entry]) =>
    entry === undefined ? [] : [[key, entry] as const],
  );
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [key, sortKeys(entry)]));
}
