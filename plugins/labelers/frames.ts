import { decodeAll } from "@atproto/lex-cbor";
import type { LexValue } from "@atproto/lex-data";
import { isObject } from "../../core/lexicons/document.ts";

export type LabelFrame =
  | { kind: "labels"; seq: number; labels: unknown[] }
  | { kind: "info"; name: string }
  | { kind: "error"; name: string; message: string }
  | { kind: "malformed"; reason: string };

const maxLabels = 10_000;

/** A frame of `com.atproto.label.subscribeLabels`: two DAG-CBOR items, header and body (event stream spec). Never throws. */
export function decodeFrame(data: Buffer): LabelFrame {
  let items: LexValue[];
  try {
    items = [...decodeAll(data)];
  } catch (error) {
    return { kind: "malformed", reason: error instanceof Error ? error.message : String(error) };
  }
  const [header, body] = items;
  if (items.length !== 2 || !isObject(header) || !isObject(body))
    return { kind: "malformed", reason: "not a header and a body" };
  if (header["op"] === -1)
    return { kind: "error", name: String(body["error"]), message: String(body["message"] ?? "") };
  if (header["t"] === "#info") return { kind: "info", name: String(body["name"]) };
  const { seq, labels } = body;
  if (header["op"] !== 1 || header["t"] !== "#labels" || !Array.isArray(labels) || !Number.isSafeInteger(seq))
    return { kind: "malformed", reason: `a message of the type ${String(header["t"])}` };
  if (labels.length > maxLabels) return { kind: "malformed", reason: `${labels.length} labels in one frame` };
  return { kind: "labels", seq: Number(seq), labels };
}
