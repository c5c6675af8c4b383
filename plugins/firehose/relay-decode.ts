import { decodeAll } from "@atproto/lex-cbor";
import { isCid, type Cid, type LexValue } from "@atproto/lex-data";
import { accountRev, isCount, isObject, maxFrameBytes, words } from "./decode.ts";

export interface RelayOp {
  action: "create" | "update" | "delete";
  collection: string;
  rkey: string;
  /** Null for a delete. */
  cid: Cid | null;
}

export interface RelayCommit {
  kind: "commit";
  seq: number;
  did: string;
  rev: string;
  ops: RelayOp[];
  blocks: Uint8Array;
  /** An old relay left the blocks out, or there are more operations than a commit may have: they are not read. */
  tooBig: boolean;
  timeUs: number | undefined;
}

export type RelayMessage =
  | RelayCommit
  | {
      kind: "account";
      seq: number;
      did: string;
      active: boolean;
      status?: string;
      rev: string;
      timeUs?: number;
    }
  | { kind: "identity"; seq: number; did: string; handle?: string; timeUs?: number }
  | { kind: "sync"; seq: number; did: string; rev: string; timeUs?: number }
  | { kind: "other"; seq: number | undefined; timeUs?: number }
  | { kind: "info"; name: string; message: string }
  | { kind: "error"; name: string; message: string }
  | { kind: "malformed"; reason: string };

/** Of one commit, by the lexicon of subscribeRepos. */
const maxOps = 200;

const actions = new Set(["create", "update", "delete"]);

/** A frame of `com.atproto.sync.subscribeRepos`: two DAG-CBOR items, header and body (event stream spec). Never throws. */
export function decodeRelay(data: Buffer): RelayMessage {
  if (data.length > maxFrameBytes) return malformed(`a frame of ${data.length} bytes`);
  let items: LexValue[];
  try {
    items = [...decodeAll(data)];
  } catch (error) {
    return malformed(error instanceof Error ? error.message : String(error));
  }
  const [header, body] = items;
  if (items.length !== 2 || !isObject(header) || !isObject(body)) return malformed("not a header and a body");
  if (header["op"] === -1)
    return { kind: "error", name: words(body["error"]), message: words(body["message"]) };
  if (header["op"] !== 1) return malformed(`the operation ${String(header["op"])}`);
  return decodeMessage(header["t"], body);
}

function decodeMessage(type: unknown, body: Record<string, unknown>): RelayMessage {
  if (type === "#info") return { kind: "info", name: words(body["name"]), message: words(body["message"]) };
  const { seq } = body;
  const timeUs = micros(body["time"]);
  if (!isCount(seq)) return { kind: "other", seq: undefined };
  const did = type === "#commit" ? body["repo"] : body["did"];
  if (typeof did !== "string" || !did.startsWith("did:") || did.length > 2048)
    return type === "#commit" || type === "#account" || type === "#identity" || type === "#sync"
      ? malformed(`a ${type} of no DID`)
      : { kind: "other", seq, timeUs };
  if (type === "#commit") return decodeCommit(seq, did, timeUs, body);
  if (type === "#identity") {
    const { handle } = body;
    return { kind: "identity", seq, did, timeUs, ...(typeof handle === "string" ? { handle } : {}) };
  }
  if (type === "#sync") return { kind: "sync", seq, did, timeUs, rev: words(body["rev"]) };
  if (type !== "#account") return { kind: "other", seq, timeUs };
  const { active, status } = body;
  if (typeof active !== "boolean" || timeUs === undefined)
    return malformed("an #account without `active` or time");
  const rev = accountRev(body["time"], timeUs);
  return {
    kind: "account",
    seq,
    did,
    active,
    rev,
    timeUs,
    ...(typeof status === "string" ? { status } : {}),
  };
}

function decodeCommit(
  seq: number,
  did: string,
  timeUs: number | undefined,
  body: Record<string, unknown>,
): RelayMessage {
  const { rev, blocks, ops } = body;
  if (typeof rev !== "string" || !(blocks instanceof Uint8Array) || !Array.isArray(ops))
    return malformed("a #commit without rev, blocks or ops");
  const tooBig = body["tooBig"] === true || ops.length > maxOps;
  const read: RelayOp[] = [];
  for (const op of tooBig ? [] : ops) {
    const one = decodeOp(op);
    if (!one) return malformed("a #commit with an operation that cannot be read");
    read.push(one);
  }
  return { kind: "commit", seq, did, rev, blocks, ops: read, tooBig, timeUs };
}

function decodeOp(op: unknown): RelayOp | undefined {
  if (!isObject(op)) return undefined;
  const { action, path } = op;
  const cid = op["cid"] ?? null;
  if (typeof action !== "string" || !actions.has(action) || typeof path !== "string") return undefined;
  const [collection, rkey, ...rest] = path.split("/");
  if (!collection || !rkey || rest.length > 0) return undefined;
  if (action === "delete") return { action, collection, rkey, cid: null };
  if (!isCid(cid)) return undefined;
  return { action: action as "create" | "update", collection, rkey, cid }; // `actions` has no other
}

function micros(time: unknown): number | undefined {
  const millis = typeof time === "string" && time.length <= 64 ? Date.parse(time) : Number.NaN;
  return Number.isNaN(millis) ? undefined : millis * 1000;
}

function malformed(reason: string): RelayMessage {
  return { kind: "malformed", reason };
}
