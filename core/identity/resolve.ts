import type { Storage } from "unstorage";
import { HappyViewError, isHappyViewError } from "../errors.ts";
import { refusedAnswer } from "../http/answer.ts";
import type { OutgoingFetch } from "../http/outgoing.ts";
import { shownUrl } from "../http/shown-url.ts";
import { documentUrl, parseDocument, type Identity } from "./did-document.ts";

export interface IdentityResolver {
  /** The identity of a DID, from the cache for an hour. @throws HappyViewError IDENTITY_UNRESOLVED, IDENTITY_UNREACHABLE */
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

/** True when nothing is known of the DID for now: the directory or the host of its document did not answer. */
export function isUnreachable(error: unknown): boolean {
  return isHappyViewError(error) && error.code === "IDENTITY_UNREACHABLE";
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
      const loading = load(did).finally(() => {
        if (asking.get(did) === loading) asking.delete(did);
      });
      answer = loading;
      asking.set(did, loading);
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
    async forget(did) {
      asking.delete(did); // it may be about to answer from the cache
      await storage.removeItem(key(did));
    },
  };
}

/** The largest document that is read; those of the network have one or two kilobytes. */
const maxDocumentBytes = 256 * 1024;

/**
 * @throws IDENTITY_UNREACHABLE when nobody could say anything of the DID: a network that is away, a time-out, 429, 5xx,
 * an answer that is no JSON; IDENTITY_UNRESOLVED for an answer that gives no usable document.
 */
async function fetchIdentity(did: string, plcUrl: string, fetch: OutgoingFetch): Promise<Identity> {
  const url = documentUrl(did, plcUrl);
  const response = await fetch(url, {
    redirect: "error",
    headers: { accept: "application/did+ld+json, application/json" },
  }).catch((cause: unknown) => {
    throw isRefusedAddress(did, cause) ? unresolved(did, cause) : unreachable(did, cause);
  });
  if (!response.ok) {
    const cause = await refusedAnswer(shownUrl(url), response, Date.now());
    const isPassing = response.status === 408 || response.status === 429 || response.status >= 500;
    throw isPassing ? unreachable(did, cause) : unresolved(did, cause);
  }
  return parseDocument(did, await readJson(did, response));
}

async function readJson(did: string, response: Response): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > maxDocumentBytes) break;
      chunks.push(chunk);
    }
    if (size <= maxDocumentBytes) return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    throw unreachable(did, cause);
  }
  throw unresolved(did, new Error(`its document has more than ${maxDocumentBytes} bytes`));
}

/** Our own rules forbid the address that a did:web names; for the directory it is a matter of the config. */
function isRefusedAddress(did: string, error: unknown): boolean {
  return (
    !did.startsWith("did:plc:") && error instanceof Error && "statusCode" in error && error.statusCode === 400
  );
}

function unresolved(did: string, cause: unknown): HappyViewError {
  return new HappyViewError("IDENTITY_UNRESOLVED", {
    message: `${did} cannot be resolved`,
    hint: "the DID is unknown, deleted, or has no usable document; asking again does not help",
    cause,
  });
}

function unreachable(did: string, cause: unknown): HappyViewError {
  return new HappyViewError("IDENTITY_UNREACHABLE", {
    message: `${did} cannot be looked up now`,
    hint: "check PLC_URL and the network",
    cause,
  });
}
