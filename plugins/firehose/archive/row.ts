import { createHash } from "node:crypto";
import { decode } from "@atproto/lex-cbor";
import { isValidTid } from "@atproto/syntax";
import { base32 } from "multiformats/bases/base32";
import type { SourceEvent } from "../../../core/index.ts";
import { accountRev, isObject } from "../decode.ts";
import { readRecord } from "../record.ts";
import { rowKind, type Row } from "./block.ts";

// CIDv1, codec dag-cbor, hash sha2-256, 32 bytes (repository spec).
const cidPrefix = Buffer.from([0x01, 0x71, 0x12, 0x20]);

const actions = new Map<number, "create" | "update" | "delete">([
  [rowKind.create, "create"],
  [rowKind.update, "update"],
  [rowKind.delete, "delete"],
  [rowKind.resync, "create"],
]);

/** @throws Error for a row that cannot be used, which says nothing about the rows beside it (jetstream §4.5) */
export function toEvent(row: Row): SourceEvent {
  const { kind, did, collection, rkey, rev, payload, witnessedUs } = row;
  const action = actions.get(kind);
  if (action) {
    const content =
      action === "delete"
        ? { cid: "" }
        : { record: readRecord(payload), cid: cidOf(payload), isVerified: true };
    return { kind: "commit", action, did, collection, rkey, rev, ...content };
  }
  if (kind === rowKind.sync) {
    if (!isValidTid(rev)) throw new Error("a sync without a rev");
    return { kind: "sync", did, rev };
  }
  const body = decode(payload);
  if (!isObject(body)) throw new Error("an event that is not an object");
  const { handle, active, status, time } = body;
  if (kind === rowKind.identity)
    return { kind: "identity", did, handle: typeof handle === "string" ? handle.slice(0, 253) : undefined };
  if (typeof active !== "boolean") throw new Error("an account event without `active`");
  return {
    kind: "account",
    did,
    active,
    status: typeof status === "string" ? status.slice(0, 64) : undefined,
    rev: accountRev(time, witnessedUs),
  };
}

/** The payload is the very block of the repo, so this is the record's CID there: no need to encode it again. */
function cidOf(payload: Uint8Array): string {
  return base32.encode(Buffer.concat([cidPrefix, createHash("sha256").update(payload).digest()]));
}
