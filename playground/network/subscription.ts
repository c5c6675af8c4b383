import { isValidDid, isValidNsid } from "@atproto/syntax";
import type { JetstreamEntry } from "./jetstream-log.ts";

/** What one Jetstream client wants to see. */
export type Subscription = (entry: JetstreamEntry) => boolean;

export interface SubscriptionOptions {
  wantedCollections: string[];
  wantedDids: string[];
  maxMessageSizeBytes: number;
}

const maxCollections = 100;
const maxDids = 10_000;

/** Throws with the reason when the options are not acceptable. */
export function createSubscription(options: SubscriptionOptions): Subscription {
  const collections = new Set(options.wantedCollections);
  const dids = new Set(options.wantedDids);
  if (collections.size > maxCollections)
    throw new Error(`too many wanted collections: ${collections.size} > ${maxCollections}`);
  if (dids.size > maxDids) throw new Error(`too many wanted DIDs: ${dids.size} > ${maxDids}`);
  for (const did of dids) if (!isValidDid(did)) throw new Error(`invalid DID: ${did}`);
  const isWanted = collectionFilter(collections);
  const maxBytes = options.maxMessageSizeBytes;
  return ({ did, collection, data }) =>
    (dids.size === 0 || dids.has(did)) &&
    // Identity and account events have no collection and always pass.
    (collection === undefined || isWanted(collection)) &&
    (maxBytes === 0 || data.length <= maxBytes);
}

export function optionsFromParams(params: URLSearchParams): SubscriptionOptions {
  return {
    wantedCollections: params.getAll("wantedCollections").filter(Boolean),
    wantedDids: params.getAll("wantedDids").filter(Boolean),
    maxMessageSizeBytes: toMaxBytes(params.get("maxMessageSizeBytes")),
  };
}

/** The payload of `options_update`; a missing list switches its filter off. Throws when the shape is wrong. */
export function optionsFromPayload(payload: unknown): SubscriptionOptions {
  if (payload === null || typeof payload !== "object") throw new TypeError("payload is not an object");
  const {
    wantedCollections = [],
    wantedDids = [],
    maxMessageSizeBytes = 0,
  }: Record<string, unknown> = { ...payload };
  return {
    wantedCollections: toStrings(wantedCollections),
    wantedDids: toStrings(wantedDids),
    maxMessageSizeBytes: toMaxBytes(maxMessageSizeBytes),
  };
}

function collectionFilter(patterns: Set<string>): (collection: string) => boolean {
  if (patterns.size === 0) return () => true;
  const prefixes: string[] = [];
  const exact = new Set<string>();
  for (const pattern of patterns) {
    if (pattern.endsWith(".*")) prefixes.push(pattern.slice(0, -1));
    else if (isValidNsid(pattern)) exact.add(pattern);
    else throw new Error(`invalid collection: ${pattern}`);
  }
  return (collection) => exact.has(collection) || prefixes.some((prefix) => collection.startsWith(prefix));
}

function toStrings(list: unknown): string[] {
  const items: unknown = list ?? [];
  if (Array.isArray(items) && items.every((item) => typeof item === "string")) return items;
  throw new TypeError("not a list of strings");
}

/** Anything but a number that fits 32 bits means no limit, as on the real server. */
function toMaxBytes(value: unknown): number {
  const bytes = Number(value ?? 0);
  return Number.isInteger(bytes) && bytes > 0 && bytes < 2 ** 32 ? bytes : 0;
}
