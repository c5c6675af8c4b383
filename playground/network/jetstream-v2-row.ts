import { constants, zstdCompressSync } from "node:zlib";
import { decode, encode } from "@atproto/lex-cbor";
import type { LexMap } from "@atproto/lex-data";
import { datetimeAt } from "./clock.ts";
import type { JetstreamEvent, JsonRecord } from "./event.ts";
import { isCommit, kindName } from "./jetstream-v2-archive.ts";
import { dictionary } from "./jetstream-v2-dictionary.ts";
import { rowKind, type Row } from "./jetstream-v2-segment.ts";
import { cidOfPlainRecord, toLexRecord, toSortedJson } from "./record.ts";

export const subscription = "network.bsky.jetstream.subscribeEvents";

/** A row, and its frames once somebody has asked for them. */
export interface LoggedRow extends Row {
  text?: Buffer;
  zstd?: Buffer;
}

/** A record as a repo that is read anew has it. */
export interface Replacement {
  collection: string;
  rkey: string;
  record: JsonRecord;
}

const noCommit = { collection: "", rkey: "", rev: "", indexedAt: 0 };

export function toRow(event: JetstreamEvent, seq: number): Row {
  const { did, time_us: witnessedAt } = event;
  const common = { seq, did, witnessedAt };
  if (event.kind !== "commit") {
    const body = event.kind === "identity" ? event.identity : event.account;
    return { ...noCommit, ...common, kind: rowKind[event.kind], payload: encode({ ...body }) };
  }
  const { operation, collection, rkey, rev, record } = event.commit;
  const payload = record ? encode(toLexRecord(record)) : new Uint8Array();
  return { ...common, indexedAt: 0, kind: rowKind[operation], collection, rkey, rev, payload };
}

/** As the real server makes them: without blocks, seq and time. */
export function syncRow(at: { seq: number; did: string; witnessedAt: number }, rev: string): Row {
  const payload = encode({ did: at.did, rev, seq: 0, time: "", blocks: new Uint8Array() });
  return { ...noCommit, ...at, kind: rowKind.sync, rev, payload };
}

export function replacementRow(
  at: { seq: number; did: string; witnessedAt: number },
  rev: string,
  { collection, rkey, record }: Replacement,
): Row {
  const payload = encode(toLexRecord(record));
  return { ...at, indexedAt: 0, kind: rowKind.resync, collection, rkey, rev, payload };
}

/** The text frame of a row (jetstream §2.2). */
export function textOf(row: LoggedRow): Buffer {
  row.text ??= Buffer.from(JSON.stringify({ $type: "message", payload: payloadOf(row) }));
  return row.text;
}

export function compressedTextOf(row: LoggedRow): Buffer {
  const params = { [constants.ZSTD_c_checksumFlag]: 1 }; // as the real server
  row.zstd ??= zstdCompressSync(textOf(row), { dictionary, params });
  return row.zstd;
}

/** The only message without a seq. */
export function infoText(message: string): string {
  return JSON.stringify({
    $type: "message",
    payload: { $type: `${subscription}#info`, name: "OutdatedCursor", message },
  });
}

function payloadOf(row: Row): Record<string, unknown> {
  const kind = kindName(row);
  const time = datetimeAt(row.indexedAt || row.witnessedAt);
  const common = { $type: `${subscription}#${kind}`, seq: row.seq, did: row.did, time };
  if (!isCommit(row)) return { ...common, [kind]: toSortedJson(mapOf(row)) };
  const { rev, collection, rkey } = row;
  const commit = { ...common, rev, operation: operationOf(row), collection, rkey };
  if (row.kind === rowKind.delete) return commit;
  const record = mapOf(row);
  return { ...commit, record: toSortedJson(record), cid: cidOfPlainRecord(record) };
}

function operationOf({ kind }: Row): string {
  if (kind === rowKind.delete) return "delete";
  return kind === rowKind.update ? "update" : "create";
}

function mapOf({ payload }: Row): LexMap {
  return decode(payload) as LexMap; // what this file encodes is a map
}
