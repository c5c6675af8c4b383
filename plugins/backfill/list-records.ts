import type { CommitEvent } from "../../core/index.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { RefusedAnswer } from "../../core/http/answer.ts";
import { isObject } from "../../core/lexicons/document.ts";
import { TID } from "@atproto/common-web";
import { getJson, xrpcUrl } from "./answer.ts";
import { FetchError, toFailure } from "./failure.ts";

export interface RecordPage {
  events: CommitEvent[];
  cursor: string | undefined;
}

const pageSize = 100;

/** A PDS answers with what was asked for; this is how much more is read of one that does not. */
const maxPageRecords = 1000;

/** A page of `com.atproto.repo.listRecords` as create events of the given rev. */
export async function listRecords(
  fetch: OutgoingFetch,
  ask: { pds: string; did: string; collection: string; rev: string; cursor?: string | undefined },
  signal: AbortSignal,
): Promise<RecordPage> {
  const { pds, did, collection, rev, cursor } = ask;
  const params = { repo: did, collection, limit: String(pageSize), cursor };
  const url = xrpcUrl(pds, "com.atproto.repo.listRecords", params);
  const answer = await getJson(fetch, url, signal);
  const records = answer["records"];
  if (!Array.isArray(records) || records.length > maxPageRecords)
    throw new FetchError("invalid_response", `${pds} answers listRecords without a list of records`);
  const events = records.map((entry: unknown): CommitEvent => {
    const uri = isObject(entry) ? entry["uri"] : undefined;
    const record = isObject(entry) ? entry["value"] : undefined;
    const cid = isObject(entry) ? entry["cid"] : undefined;
    if (typeof uri !== "string" || !isObject(record))
      throw new FetchError("invalid_response", `${pds} lists a record without uri or value`);
    const rkey = uri.slice(uri.lastIndexOf("/") + 1);
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
  const isLast = events.length === 0 || !next;
  if (!isLast && next === cursor)
    throw new FetchError("invalid_response", `${pds} lists ${collection} of ${did} in a circle`, {
      isFinal: true,
    });
  return { events, cursor: isLast ? undefined : next };
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
