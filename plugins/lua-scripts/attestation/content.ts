import { createHash } from "node:crypto";
import { encode, Token, Type } from "cborg";

/** What is signed beside the record: who signs how, and whose record it is, so that no signature fits another repo. */
export interface Signing {
  /** An NSID, the `$type` of the signature. */
  type: string;
  /** The DID of the repo, or an empty text. */
  repository: string;
}

export type KeyOrder = "lexicographic" | "dag-cbor";

/** Which `$bytes` are bytes: only base64 with its padding, as for HappyView, or without it, too, as the network has it. */
export type Base64Reading = "strict" | "lenient";

// CIDv1, codec dag-cbor, hash sha2-256, 32 bytes (repository spec).
const cidPrefix = Buffer.from([0x01, 0x71, 0x12, 0x20]);

/**
 * The bytes of the CID that is signed (lua §4.6): of the record without its `signatures`, with `$sig`. HappyView orders
 * keys by their bytes alone, whereas DAG-CBOR has shorter keys first.
 * @param text the JSON of a record
 * @throws Error for what is no JSON object
 */
export function signedCid(
  text: string,
  { type, repository }: Signing,
  order: KeyOrder,
  reading: Base64Reading = "strict",
): Buffer {
  const record = readJson(text, reading);
  if (!(record instanceof Map)) throw new Error("record must be an object");
  record.delete("signatures");
  record.set(
    "$sig",
    new Map([
      ["$type", type],
      ["repository", repository],
    ]),
  );
  const bytes = encode(
    record,
    order === "dag-cbor" ? { typeEncoders } : { typeEncoders, mapSorter: byBytes },
  );
  return Buffer.concat([cidPrefix, createHash("sha256").update(bytes).digest()]);
}

/** A number that is written with a point or an exponent: `3.0` is no integer. */
class Float {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

const typeEncoders = {
  Object: (value: unknown) => (value instanceof Float ? new Token(Type.float, value.value) : null),
};

type Tokens = Token | Token[];

/** Each entry is the token of a key and that of its value. */
function byBytes(a: readonly Tokens[], b: readonly Tokens[]): number {
  return Buffer.compare(keyOf(a), keyOf(b));
}

function keyOf([key]: readonly Tokens[]): Buffer {
  return Buffer.from(key instanceof Token ? String(key.value) : "");
}

/** JSON with its integers exact, its objects as maps and `{"$bytes": …}` as bytes. */
function readJson(text: string, reading: Base64Reading): unknown {
  const revive = (_key: string, value: unknown, context?: { source?: string }): unknown => {
    if (typeof value === "number") return readNumber(value, context?.source);
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Float)
      return value;
    return bytesOf(value, reading) ?? new Map(Object.entries(value));
  };
  return JSON.parse(text, revive);
}

/** An integer of 64 bits, unsigned ones included; whatever else there is, is a float. */
function readNumber(value: number, source = ""): bigint | Float {
  if (!/^-?\d+$/.test(source)) return new Float(value);
  const whole = BigInt(source);
  return whole >= -(2n ** 63n) && whole < 2n ** 64n ? whole : new Float(value);
}

function bytesOf(value: object, reading: Base64Reading): Buffer | undefined {
  const [[name, text] = [], ...others] = Object.entries(value);
  if (name !== "$bytes" || others.length > 0 || typeof text !== "string") return undefined;
  return fromBase64(text, reading);
}

/** Undefined for what is not base64. */
export function fromBase64(text: string, reading: Base64Reading): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  const padded = bytes.toString("base64");
  return padded === text || (reading === "lenient" && padded.replace(/=+$/, "") === text) ? bytes : undefined;
}
