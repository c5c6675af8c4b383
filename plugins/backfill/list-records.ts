import type { CommitEvent } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { RefusedAnswer } from "../../core/http/answer.ts";
import { isObject } from "../../core/lexicons/document.ts";
import { TID } from "@atproto/common-web";
import { getJson, xrpcUrl } from "./answer.ts";
import { FetchError, isTooLarge, toFailure } from "./failure.ts";
import { maxRecordBytes } from "./record-size.ts";
import { shareOf, type Room } from "./room.ts";

export interface RecordPage {
  events: CommitEvent[];
  cursor: string | undefined;
  /** Records beside them that are larger than any may be. */
  oversized: number;
  /** It is taken in: its memory is free. */
  release(): void;
}

/** A page that is larger than what is read of one is asked for in smaller ones. */
const pageSizes = [100, 10, 1];

/** A PDS answers with what was asked for; this is how much more is read of one that does not. */
const maxPageRecords = 1000;

interface Ask {
  pds: string;
  did: string;
  collection: string;
  rev: string;
  cursor?: string | undefined;
}

/** A page of `com.atproto.repo.listRecords` as create events of the given rev. @throws NoRoom, and as getJson() */
export async function listRecords(
  fetch: OutgoingFetch,
  ask: Ask,
  room: Room,
  signal: AbortSignal,
): Promise<RecordPage> {
  for (const limit of pageSizes) {
    const share = shareOf(room, `a page of ${ask.did}`);
    try {
      const params = { repo: ask.did, collection: ask.collection, limit: String(limit), cursor: ask.cursor };
      const url = xrpcUrl(ask.pds, "com.atproto.repo.listRecords", params);
      const answer = await getJson(fetch, url, signal, share.take);
      return { ...readPage(ask, answer, share.bytes), release: share.release };
    } catch (error) {
      share.release();
      if (!isTooLarge(error) || limit === 1) throw error;
    }
  }
  throw new Error("a page has no size"); // the last one returned or threw
}

function readPage(
  { pds, did, collection, rev, cursor }: Ask,
  answer: Record<string, unknown>,
  bytes: number,
): Omit<RecordPage, "release"> {
  const records = answer["records"];
  if (!Array.isArray(records) || records.length > maxPageRecords)
    throw new FetchError("invalid_response", `${pds} answers listRecords without a list of records`);
  let oversized = 0;
  const events = records.flatMap((entry: unknown): CommitEvent | [] => {
    const uri = isObject(entry) ? entry["uri"] : undefined;
    const record = isObject(entry) ? entry["value"] : undefined;
    const cid = isObject(entry) ? entry["cid"] : undefined;
    if (typeof uri !== "string" || !isObject(record))
      throw new FetchError("invalid_response", `${pds} lists a record without uri or value`);
    const rkey = uri.slice(uri.lastIndexOf("/") + 1);
    // A page that is smaller holds none.
    if (bytes > maxRecordBytes && Buffer.byteLength(JSON.stringify(record)) > maxRecordBytes) {
      oversized += 1;
      return [];
    }
    return {
      kind: "commit",
      action: "create",
      did,
      collection,
      rkey,
      rev,
      record,
      cid: typeof cid === "string" ? cid : "",
      isSnapshot: true,
    };
  });
  const next = answer["cursor"];
  if (next != null && typeof next !== "string")
    throw new FetchError("invalid_response", `${pds} answers listRecords with a cursor that is no text`);
  const isLast = records.length === 0 || !next;
  if (!isLast && next === cursor)
    throw new FetchError("invalid_response", `${pds} lists ${collection} of ${did} in a circle`, {
      isFinal: true,
    });
  return { events, oversized, cursor: isLast ? undefined : next };
}

/** Clocks of hosts differ; what was written so shortly before the listing has come by the stream. */
const skewMs = 5 * 60_000;

/** The rev of the repo now, or for a host that does not tell it a moment ago as a TID. */
export async function currentRev(
  fetch: OutgoingFetch,
  { pds, did }: { pds: string; did: string },
  signal: AbortSignal,
): Promise<string> {
  try {
    const answer = await getJson(fetch, xrpcUrl(pds, "com.atproto.sync.getLatestCommit", { did }), signal);
    const rev = answer["rev"];
    if (typeof rev === "string" && TID.is(rev)) return rev;
    throw new FetchError("invalid_response", `${pds} answers getLatestCommit without a rev`);
  } catch (error) {
    if (error instanceof RefusedAnswer && (error.status === 501 || error.status === 404))
      return TID.fromTime((Date.now() - skewMs) * 1000, 0).toString();
    throw error;
  }
}

/** Whether a record is gone: only a clear answer counts. */
export async function isGone(
  fetch: OutgoingFetch,
  { pds, did, collection, rkey }: { pds: string; did: string; collection: string; rkey: string },
  signal: AbortSignal,
): Promise<boolean> {
  const url = xrpcUrl(pds, "com.atproto.repo.getRecord", { repo: did, collection, rkey });
  try {
    await getJson(fetch, url, signal);
    return false;
  } catch (error) {
    if (!(error instanceof RefusedAnswer) || toFailure(error).retryable) throw error;
    return error.error === "RecordNotFound" || /could not locate record/i.test(error.detail);
  }
}
