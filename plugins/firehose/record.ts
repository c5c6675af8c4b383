import { decode } from "@atproto/lex-cbor";
import type { LexValue } from "@atproto/lex-data";
import { lexToJson } from "@atproto/lex-json";
import { isObject, isShallow } from "./decode.ts";

/** The JSON form of a record; undefined for what is no object, or nested too deeply. */
export function toRecord(value: LexValue): Record<string, unknown> | undefined {
  const json = isShallow(value) ? lexToJson(value) : undefined;
  return isObject(json) ? json : undefined;
}

/** @throws Error for a block that holds no record */
export function readRecord(block: Uint8Array): Record<string, unknown> {
  const record = toRecord(decode(block));
  if (record) return record;
  throw new Error("a record that is not an object, or nested too deeply");
}
