import { refusedAnswer } from "../../core/http/answer.ts";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { shownUrl } from "../../core/http/shown-url.ts";
import { isObject } from "../../core/lexicons/document.ts";

const pageSize = 250;

/** A labeler has few labels of a record; one that never ends its pages is not asked for ever. */
const maxPages = 20;

/**
 * The labels that a labeler has of some URIs, in DAG-CBOR's form (`com.atproto.label.queryLabels`).
 * @throws RefusedAnswer for an answer that says no, Error without a usable one
 */
export async function queryLabels(
  endpoint: string,
  { did, uris }: { did: string; uris: readonly string[] },
  { fetch, now, signal }: { fetch: OutgoingFetch; now: () => number; signal: AbortSignal },
): Promise<unknown[]> {
  const asked = new Set(uris);
  const found: unknown[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < maxPages; page++) {
    const query = new URLSearchParams(uris.map((uri): [string, string] => ["uriPatterns", uri]));
    query.set("sources", did);
    query.set("limit", String(pageSize));
    if (cursor !== undefined) query.set("cursor", cursor);
    const url = `${endpoint}/xrpc/com.atproto.label.queryLabels?${query}`;
    const response = await fetch(url, { redirect: "error", signal });
    if (!response.ok) throw await refusedAnswer(shownUrl(endpoint), response, now());
    const answer: unknown = await response.json();
    const labels = isObject(answer) && Array.isArray(answer["labels"]) ? answer["labels"] : undefined;
    if (!isObject(answer) || !labels) throw new Error(`${shownUrl(endpoint)} gives no list of labels`);
    found.push(...labels.map(fromJson).filter((label) => isObject(label) && asked.has(String(label["uri"]))));
    const next: unknown = answer["cursor"];
    // Some give a cursor with the last page, too.
    if (typeof next !== "string" || next === cursor || labels.length < pageSize) break;
    cursor = next;
  }
  return found;
}

/** The JSON form of bytes is `{ $bytes }`; of a label only the signature is such. */
function fromJson(value: unknown): unknown {
  if (!isObject(value)) return value;
  const { sig, ...label } = value;
  const text = isObject(sig) ? sig["$bytes"] : undefined;
  return typeof text === "string"
    ? { ...label, sig: new Uint8Array(Buffer.from(text, "base64")) }
    : { ...label };
}
