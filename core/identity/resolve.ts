import type { Storage } from "unstorage";
import { HappyViewError, isHappyViewError } from "../errors.ts";
import type { OutgoingFetch } from "../http/outgoing.ts";
import { documentUrl, parseDocument, type Identity } from "./did-document.ts";

export interface IdentityResolver {
  /** The identity of a DID, from the cache for an hour. @throws HappyViewError IDENTITY_UNRESOLVED */
  resolve(did: string): Promise<Identity>;
  /** The URL of the account's PDS. @throws HappyViewError IDENTITY_UNRESOLVED when there is none */
  pds(did: string): Promise<string>;
  /** Reads a document anew next time. */
  forget(did: string): Promise<void>;
}

const maxAgeMs = 60 * 60 * 1000;

interface Cached {
  identity: Identity;
  at: number;
}

export function createIdentityResolver(parts: {
  plcUrl: string;
  storage: Storage;
  fetch: OutgoingFetch;
  now: () => number;
}): IdentityResolver {
  const { plcUrl, storage, now } = parts;
  const asking = new Map<string, Promise<Identity>>();
  const key = (did: string): string => `identity:${did}`;

  async function load(did: string): Promise<Identity> {
    const cached = await storage.getItem<Cached>(key(did));
    if (cached && now() - cached.at < maxAgeMs) return cached.identity;
    const identity = await fetchIdentity(did, plcUrl, parts.fetch);
    await storage.setItem(key(did), { identity, at: now() });
    return identity;
  }

  const resolve = (did: string): Promise<Identity> => {
    let answer = asking.get(did);
    if (!answer) {
      answer = load(did).finally(() => asking.delete(did));
      asking.set(did, answer);
    }
    return answer;
  };

  return {
    resolve,
    async pds(did) {
      const endpoint = (await resolve(did)).services["atproto_pds"];
      if (endpoint) return endpoint;
      throw new HappyViewError("IDENTITY_UNRESOLVED", {
        message: `the DID document of ${did} names no PDS`,
        hint: "the account may be gone; its document has no #atproto_pds service",
      });
    },
    forget: (did) => storage.removeItem(key(did)),
  };
}

async function fetchIdentity(did: string, plcUrl: string, fetch: OutgoingFetch): Promise<Identity> {
  const url = documentUrl(did, plcUrl);
  try {
    const response = await fetch(url, {
      redirect: "error",
      headers: { accept: "application/did+ld+json, application/json" },
    });
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    return parseDocument(did, await response.json());
  } catch (cause) {
    if (isHappyViewError(cause)) throw cause;
    throw new HappyViewError("IDENTITY_UNRESOLVED", {
      message: `${did} cannot be resolved`,
      hint: "check PLC_URL and the network; an unknown DID stays unknown",
      cause,
    });
  }
}
