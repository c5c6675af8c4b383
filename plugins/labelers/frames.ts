import { decodeAll } from "@atproto/lex-cbor";
import type { LexValue } from "@atproto/lex-data";
import { isObject } from "../../core/lexicons/document.ts";

export type LabelFrame =
  | { kind: "labels"; seq: number; labels: unknown[] }
  | { kind: "info" | "error"; name: string; message: string }
  | { kind: "malformed"; reason: string };

/** A larger frame is skipped; the network's own have a label or some hundreds. */
export const maxFrameBytes: number = 5 * 1024 * 1024;

/** A frame of `com.atproto.label.subscribeLabels`: two DAG-CBOR items, header and body (event stream spec). Never throws. */
export function decodeFrame(data: Buffer): LabelFrame {
  if (data.length > maxFrameBytes) return malformed(`it has ${data.length} bytes`);
  let items: LexValue[];
  try {
    items = [...decodeAll(data)];
  } catch (error) {
    return malformed(error instanceof Error ? error.message : String(error));
  }
  const [header, body] = items;
  if (items.length !== 2 || !isObject(header) || !isObject(body))
    return malformed("it is no header and body");
  if (header["op"] === -1)
    return { kind: "error", name: text(body["error"]), message: text(body["message"]) };
  if (header["op"] !== 1) return malformed(`its operation is ${text(String(header["op"]))}`);
  if (header["t"] === "#info")
    return { kind: "info", name: text(body["name"]), message: text(body["message"]) };
  const { seq, labels } = body;
  if (header["t"] !== "#labels") return malformed(`its type is ${text(String(header["t"]))}`);
  if (!isSeq(seq) || !Array.isArray(labels)) return malformed("it has no seq or no labels");
  return { kind: "labels", seq, labels };
}

function isSeq(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 300) : "";
}

function malformed(reason: string): LabelFrame {
  return { kind: "malformed", reason };
}
