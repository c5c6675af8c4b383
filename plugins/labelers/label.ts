import { encode } from "@atproto/lex-cbor";
import type { LexMap, LexValue } from "@atproto/lex-data";
import { isObject } from "../../core/lexicons/document.ts";
import type { Label as ScriptLabel } from "../lua-scripts/label.ts";
import { microsOf, utcText } from "./datetime.ts";
import { isSignature } from "./signature.ts";

/** `com.atproto.label.defs#label` without what proves it. */
export interface Label extends ScriptLabel {
  /** The version of the record that it is about. */
  cid?: string | undefined;
}

/** A label as it was sent. */
export interface SignedLabel {
  label: Label;
  /** The members that a signature is about. */
  signed: LexMap;
  sig: Uint8Array;
}

/** They are a key together, and Postgres takes keys up to 2704 bytes. */
const maxBytes = { src: 256, uri: 2048, val: 128, cts: 64, exp: 64, cid: 256 };
const maxSigBytes = 256;

/** The members of the schema; a signature is about these alone (label spec, signatures). */
const fields = ["ver", "src", "uri", "cid", "val", "neg", "cts", "exp"] as const;

/** Reads a label that is passed from one service to another; a text says why it is none. */
export function readLabel(value: unknown): SignedLabel | string {
  if (!isObject(value)) return "it is no object";
  const { ver, sig, neg } = value;
  if (ver !== 1) return "its version is not 1";
  if (!(sig instanceof Uint8Array) || sig.length > maxSigBytes) return "it has no signature";
  if (neg !== undefined && typeof neg !== "boolean") return "its `neg` is no boolean";
  const text = (name: keyof typeof maxBytes): string | undefined =>
    typeof value[name] === "string" ? value[name] : undefined;
  const [src, uri, val, cts] = [text("src"), text("uri"), text("val"), text("cts")];
  if (!src || !uri || !val || !cts) return "it has no `src`, `uri`, `val` or `cts`";
  const label = { src, uri, val, cts, neg: neg === true, exp: text("exp"), cid: text("cid") };
  const signed = fields.flatMap((name): [string, LexValue][] =>
    value[name] === undefined ? [] : [[name, value[name] as LexValue]],
  );
  return problemOf(label) ?? { label, signed: Object.fromEntries(signed), sig };
}

/** Why a label cannot be stored; undefined when it can. */
export function problemOf(label: Label): string | undefined {
  for (const [name, max] of Object.entries(maxBytes)) {
    const value = label[name as keyof typeof maxBytes] ?? "";
    if (Buffer.byteLength(value) > max) return `its \`${name}\` is longer than ${max} bytes`;
    // Postgres would store another text.
    if (value.includes("\0") || !value.isWellFormed()) return `its \`${name}\` is no text`;
  }
  return createdAt(label) === undefined ? "its `cts` is no datetime" : undefined;
}

/** Unix microseconds of `cts`; one without a zone is taken for UTC. */
export function createdAt({ cts }: Pick<Label, "cts">): number | undefined {
  return microsOf(cts) ?? microsOf(`${cts}Z`);
}

/** The expiry as it is stored: a text that sorts by time, and none for what is no datetime. */
export function storedExpiry({ exp }: Label): string | null {
  const micros = microsOf(exp);
  return micros === undefined ? null : utcText(micros);
}

/** True when the key signed the DAG-CBOR of the label without its signature (label spec, signatures). */
export async function isSignedBy(key: string, { signed, sig }: SignedLabel): Promise<boolean> {
  if (await isSignature(key, encode(signed), sig)) return true;
  // Some sign without the `neg: false` that they send.
  const { neg, ...rest } = signed;
  return neg === false && isSignature(key, encode(rest), sig);
}
