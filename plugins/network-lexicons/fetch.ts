import { explain, HttpError } from "../../core/errors.ts";
import { RefusedAnswer, refusedAnswer } from "../../core/http/answer.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import { resolveAuthority, type TxtLookup } from "../../core/identity/authority.ts";
import type { Identity } from "../../core/identity/did-document.ts";
import type { IdentityResolver } from "../../core/identity/resolve.ts";
import { isObject, type LexiconDocument } from "../../core/lexicons/document.ts";
import { lexiconSchema } from "../../core/records/change.ts";
import { cidMatches } from "../../core/records/verify.ts";
import { readProof } from "../firehose/proof.ts";
import { checkPublished } from "./document.ts";

export interface PublishedLexicon {
  nsid: string;
  authorityDid: string;
  document: LexiconDocument;
  /** `defs.main.type`, null without one. */
  type: unknown;
}

/** What the way from an NSID to its document needs. */
export interface LexiconSource {
  lookup: TxtLookup;
  identity: Pick<IdentityResolver, "resolve">;
  fetch: OutgoingFetch;
  /** Whether the authority's signature is asked for, too. */
  proof: boolean;
}

/**
 * NSID → authority → PDS → `com.atproto.lexicon.schema` record (sync-and-xrpc §1.6).
 * @throws HttpError 400 for a name or a document that is none, 404 without a record, 502 when somebody on the way fails
 */
export async function fetchLexicon(nsid: string, source: LexiconSource): Promise<PublishedLexicon> {
  const did = await resolveAuthority(nsid, source.lookup);
  const identity = await source.identity.resolve(did).catch((error: unknown) => {
    throw badGateway(`the authority of ${nsid} cannot be resolved: ${explain(error)}`);
  });
  const record = await (source.proof ? readProven : readRecord)(nsid, identity, source.fetch);
  const document = checkPublished(nsid, record);
  const main = isObject(document["defs"]) ? document["defs"]["main"] : undefined;
  return { nsid, authorityDid: did, document, type: isObject(main) ? (main["type"] ?? null) : null };
}

/** What the PDS answered, of an error of fetchLexicon. */
export function refusalOf(error: unknown): RefusedAnswer | undefined {
  return error instanceof Error && error.cause instanceof RefusedAnswer ? error.cause : undefined;
}

async function readRecord(nsid: string, identity: Identity, fetch: OutgoingFetch): Promise<unknown> {
  const { did } = identity;
  const query = { repo: did, collection: lexiconSchema, rkey: nsid };
  const response = await ask(nsid, identity, "com.atproto.repo.getRecord", query, fetch);
  const answer: unknown = await response.json().catch((error: unknown) => {
    throw badGateway(`the PDS of ${did} gives no JSON: ${explain(error)}`);
  });
  const { value, cid = "" } = isObject(answer) ? answer : {};
  if (value === undefined) throw notFound(nsid, did);
  if (isObject(value) && typeof cid === "string" && !cidMatches(value, cid))
    throw badGateway(`the record of ${nsid} does not have the CID that the PDS of ${did} claims`);
  return value;
}

/** The record as the account has signed it. */
async function readProven(nsid: string, identity: Identity, fetch: OutgoingFetch): Promise<unknown> {
  const { did, signingKey } = identity;
  if (!signingKey) throw badGateway(`the DID document of ${did} names no signing key`);
  const claim = { did, collection: lexiconSchema, rkey: nsid };
  const response = await ask(nsid, identity, "com.atproto.sync.getRecord", claim, fetch);
  try {
    const { record } = await readProof(new Uint8Array(await response.arrayBuffer()), claim, signingKey);
    if (record) return record;
  } catch (error) {
    throw badGateway(`the PDS of ${did} does not prove the record of ${nsid}: ${explain(error)}`);
  }
  throw notFound(nsid, did);
}

async function ask(
  nsid: string,
  { did, services }: Identity,
  method: string,
  query: Record<string, string>,
  fetch: OutgoingFetch,
): Promise<Response> {
  const pds = services["atproto_pds"];
  if (!pds) throw badGateway(`the DID document of ${did} names no PDS`);
  const url = `${pds}/xrpc/${method}?${new URLSearchParams(query)}`;
  const response = await fetch(url, { redirect: "error" }).catch((error: unknown) => {
    throw badGateway(`the PDS of ${did} does not answer: ${explain(error)}`);
  });
  if (!response.ok) throw notFound(nsid, did, await refusedAnswer(shownUrl(pds), response, Date.now()));
  return response;
}

/** Also of other refusals: clients match on it, and the cause says which it was. */
function notFound(nsid: string, did: string, cause?: RefusedAnswer): HttpError {
  const error = new HttpError(404, `lexicon record not found for ${nsid} in ${did}'s repo`);
  error.cause = cause;
  return error;
}

function badGateway(message: string): HttpError {
  return new HttpError(502, message);
}
