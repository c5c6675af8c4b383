import { isValidNsid } from "@atproto/syntax";

/** The limit of `wantedCollections` of a Jetstream (jetstream §1.1). */
export const maxWanted = 100;

/** Lexicons are read from wherever records are. */
export const lexiconSchema = "com.atproto.lexicon.schema";

/**
 * What to ask a Jetstream for: the collections themselves, and lexicon schemas. Several sockets would have several
 * cursors and no order between them, so more collections than the limit are covered by the most specific namespace
 * wildcards that fit (what they let through besides is untracked, and the pipeline drops it); where even
 * two-segment namespaces are too many, the answer is empty, which subscribes to everything.
 */
export function wantedCollections(collections: readonly string[]): string[] {
  return covered([...collections, lexiconSchema], maxWanted);
}

/** At most `max` names and wildcards that let all of these collections through; none at all when that is impossible. */
export function covered(collections: readonly string[], max: number): string[] {
  // A Jetstream refuses the whole subscription for one name that is no NSID; such a collection has no records anyway.
  const exact = [...new Set(collections.filter((id) => isValidNsid(id)))].toSorted();
  if (exact.length <= max) return exact;
  const deepest = Math.max(...exact.map((id) => id.split(".").length));
  for (let segments = deepest - 1; segments >= 2; segments--) {
    const wider = coverBy(exact, segments);
    if (wider.length <= max) return wider;
  }
  return [];
}

/** Namespaces of `segments` segments that hold more than one collection become a wildcard. */
function coverBy(exact: readonly string[], segments: number): string[] {
  const groups = new Map<string, string[]>();
  for (const id of exact) {
    const parts = id.split(".");
    const key = parts.length > segments ? `${parts.slice(0, segments).join(".")}.*` : id;
    groups.set(key, [...(groups.get(key) ?? []), id]);
  }
  return [...groups].flatMap(([key, ids]) => (ids.length > 1 ? [key] : ids));
}

/** The address of the v1 socket. Names need no escaping; compression is not asked for: it needs a dictionary that no endpoint serves (jetstream §1.5). */
export function jetstreamUrl(base: string, wanted: readonly string[], cursor: string | undefined): string {
  const query = wanted.map((name) => `wantedCollections=${name}`);
  if (cursor !== undefined) query.push(`cursor=${cursor}`);
  return `${socketBase(base)}/subscribe${query.length > 0 ? `?${query.join("&")}` : ""}`;
}

/** The address of the v2 socket (jetstream §2.2). */
export function jetstreamV2Url(
  base: string,
  ask: { wanted: readonly string[]; cursor: string | undefined; dictionaryId: number | undefined },
): string {
  const query = ask.wanted.map((name) => `collections=${name}`);
  if (ask.cursor !== undefined) query.push(`cursor=${ask.cursor}`);
  if (ask.dictionaryId !== undefined) query.push(`zstdDictionary=${ask.dictionaryId}`);
  const address = `${socketBase(base)}/xrpc/network.bsky.jetstream.subscribeEvents`;
  return query.length > 0 ? `${address}?${query.join("&")}` : address;
}

export function relayUrl(base: string, cursor: string | undefined): string {
  const query = cursor === undefined ? "" : `?cursor=${cursor}`;
  return `${socketBase(base)}/xrpc/com.atproto.sync.subscribeRepos${query}`;
}

function socketBase(base: string): string {
  return base.replace(/\/+$/, "").replace(/^http(s?):/i, "ws$1:");
}
