import * as zlib from "node:zlib";
import { TID } from "@atproto/common-web";
import type { SourceEvent } from "../../core/index.ts";

export type Decoded =
  | { kind: "event"; event: SourceEvent; timeUs: number }
  /** Well-formed, and of no concern: the position moves all the same. */
  | { kind: "skipped"; timeUs: number | undefined }
  | { kind: "malformed"; reason: string };

/** Larger than any frame of the network: a relay's frame has 5 MB at most. */
export const maxFrameBytes: number = 8 * 1024 * 1024;

/** Records of the network are at most 32 levels deep; recursive readers behind us need some limit. */
const maxDepth = 128;

const actions = new Set(["create", "update", "delete"]);

/** A frame of a Jetstream v1 socket (jetstream §1.3). Never throws. */
export function decodeJetstream(data: Buffer, binary: boolean): Decoded {
  if (data.length > maxFrameBytes) return malformed(`a frame of ${data.length} bytes`);
  let frame: unknown;
  try {
    frame = parseJson((binary ? decompress(data) : data).toString("utf8"));
  } catch (error) {
    return malformed(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(frame)) return malformed("not an object");
  const { kind, did, time_us: timeUs } = frame;
  if (!isCount(timeUs))
    return typeof kind === "string" && kind !== "commit" && kind !== "identity" && kind !== "account"
      ? { kind: "skipped", timeUs: undefined } // a v1 server's heartbeat has no time
      : malformed("no time_us");
  if (typeof did !== "string" || did.length > 2048) return malformed("no did");
  if (kind === "commit") return decodeCommit(did, timeUs, frame["commit"]);
  if (kind === "account") return decodeAccount(did, timeUs, frame["account"]);
  if (kind === "identity") return decodeIdentity(did, timeUs, frame["identity"]);
  return { kind: "skipped", timeUs };
}

/** Nesting of a small text costs nothing; a large one would keep the process busy for seconds. */
const smallChars = 64 * 1024;

/** @throws SyntaxError; Error for a large text that is nested too deeply */
export function parseJson(text: string): unknown {
  if (text.length > smallChars && !isShallowText(text)) throw new Error("nested too deeply");
  return JSON.parse(text);
}

/** Before it is parsed, with room for the frame around a record. */
function isShallowText(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') i = endOfString(text, i);
    else if (char === "[" || char === "{") depth += 1;
    else if (char === "]" || char === "}") depth -= 1;
    if (depth > 2 * maxDepth) return false;
  }
  return true;
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/** The time of an account event as a TID, so that it compares with the revs of commits; `fallbackUs` for a time that is none. */
export function accountRev(time: unknown, fallbackUs: number): string {
  const micros = parseMicros(time) ?? fallbackUs;
  // A TID holds 53 bits in 13 characters, so times before 2005 would not fill it.
  return TID.fromTime(Math.max(micros, 2 ** 50), 0).toString();
}

/** False for a record whose depth would end a recursive reader. */
export function isShallow(value: unknown, levels: number = maxDepth): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0) return false;
  const children = Array.isArray(value) ? value : Object.values(value);
  return children.every((child) => isShallow(child, levels - 1));
}

/** What a server says in words, cut. */
export function words(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 300) : "";
}

/** A seq, or a time in microseconds. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function decodeCommit(did: string, timeUs: number, commit: unknown): Decoded {
  if (!isObject(commit)) return malformed("a commit event without a commit");
  const { operation, collection, rkey, rev, record, cid } = commit;
  if (typeof operation !== "string" || typeof collection !== "string" || typeof rkey !== "string")
    return malformed("a commit without operation, collection or rkey");
  if (collection.length > 317 || rkey.length > 512) return malformed("a commit with an overlong path");
  if (!actions.has(operation)) return { kind: "skipped", timeUs };
  if (!isShallow(record)) return malformed("a record nested too deeply");
  return {
    kind: "event",
    timeUs,
    event: {
      kind: "commit",
      action: operation as "create" | "update" | "delete", // `actions` holds exactly these
      did,
      collection,
      rkey,
      rev: typeof rev === "string" && rev.length <= 64 ? rev : "",
      record: operation !== "delete" && isObject(record) ? record : undefined,
      cid: typeof cid === "string" && cid.length <= 256 ? cid : "",
    },
  };
}

export function decodeAccount(did: string, timeUs: number, account: unknown): Decoded {
  if (!isObject(account) || typeof account["active"] !== "boolean")
    return malformed("an account event without `active`");
  const { active, status, time } = account;
  return {
    kind: "event",
    timeUs,
    event: {
      kind: "account",
      did,
      active,
      status: typeof status === "string" && status.length <= 64 ? status : undefined,
      rev: accountRev(time, timeUs),
    },
  };
}

export function decodeIdentity(did: string, timeUs: number, identity: unknown): Decoded {
  const handle = isObject(identity) ? identity["handle"] : undefined;
  const known = typeof handle === "string" && handle.length <= 253 ? handle : undefined;
  return { kind: "event", timeUs, event: { kind: "identity", did, handle: known } };
}

/** Frames come compressed only from a proxy that does so unasked; without the v1 dictionary most cannot be read. */
function decompress(data: Buffer): Buffer {
  if (typeof zlib.zstdDecompressSync !== "function")
    throw new Error("a compressed frame, which this runtime cannot read");
  return zlib.zstdDecompressSync(data, { maxOutputLength: maxFrameBytes });
}

/** Microseconds of an RFC 3339 time; Date alone would cut them to milliseconds. */
export function parseMicros(time: unknown): number | undefined {
  if (typeof time !== "string" || time.length > 64) return undefined;
  const millis = Date.parse(time);
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  const micros = millis * 1000 + Number(fraction.padEnd(6, "0").slice(3, 6));
  return isCount(micros) ? micros : undefined;
}

function malformed(reason: string): Decoded {
  return { kind: "malformed", reason };
}
