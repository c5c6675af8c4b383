import { verifySignature } from "@atproto/crypto";
import { encode } from "@atproto/lex-cbor";
import type { LexMap } from "@atproto/lex-data";
import { isObject } from "../../core/lexicons/document.ts";
import type { Label } from "../lua-scripts/label.ts";

export type { Label };

/** A label as it was sent, with what its signature is about. */
export interface SignedLabel {
  label: Label;
  /** Every member but the signature. */
  signed: LexMap;
  sig: Uint8Array | undefined;
}

const maxUriChars = 8192;
const maxValChars = 128;
const maxDidChars = 2048;

/** Reads `com.atproto.label.defs#label`; undefined for what is none. */
export function readLabel(value: unknown): SignedLabel | undefined {
  if (!isObject(value)) return undefined;
  const { sig, ...signed } = value;
  const { src, uri, val, cts, exp, neg } = signed;
  if (!isText(src, maxDidChars) || !isText(uri, maxUriChars) || !isText(val, maxValChars) || !isText(cts, 64))
    return undefined;
  if (Number.isNaN(Date.parse(cts))) return undefined;
  return {
    label: { src, uri, val, cts, neg: neg === true, exp: toUtc(exp) },
    signed: signed as LexMap, // it came as DAG-CBOR or as its JSON form
    sig: sig instanceof Uint8Array ? sig : undefined,
  };
}

/** True when the key signed the DAG-CBOR of the label without its signature (label spec, signing). */
export async function isSignedBy(key: string, { signed, sig }: SignedLabel): Promise<boolean> {
  if (!sig) return false;
  try {
    return await verifySignature(key, encode(signed), sig);
  } catch {
    return false; // a key or signature of another form
  }
}

/** An expiry that can be compared as text; one that cannot be read is none (sync-and-xrpc §5.4, later versions). */
function toUtc(exp: unknown): string | undefined {
  const time = typeof exp === "string" ? Date.parse(exp) : Number.NaN;
  return Number.isNaN(time) ? undefined : new Date(time).toISOString().replace("Z", "+00:00");
}

function isText(value: unknown, maxChars: number): value is string {
  return typeof value === "string" && value !== "" && value.length <= maxChars;
}
