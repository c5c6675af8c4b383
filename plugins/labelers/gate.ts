import { isUnicastIp, unicastLookup } from "@atproto-labs/fetch-node";
import type { LookupFunction } from "node:net";

/**
 * Which addresses a socket may go to. A labeler's address is written by a stranger into a DID document: it must not
 * reach into our own network.
 */
export interface Gate {
  /** @throws Error for an address that may not be reached */
  admit(endpoint: string): Promise<void>;
  /** The same where the connection is made, so that a name cannot lie. */
  lookup: LookupFunction | undefined;
}

/** `allowPrivate` lets everything through, as on a developer's machine. */
export function createGate({ allowPrivate }: { allowPrivate: boolean }): Gate {
  if (allowPrivate) return { admit: async () => {}, lookup: undefined };
  return {
    async admit(endpoint) {
      const { hostname } = new URL(endpoint);
      const isPublic = isUnicastIp(hostname);
      if (isPublic === false) throw new Error(`${hostname} is no public address`);
      if (isPublic === undefined) await lookUp(hostname);
    },
    lookup: unicastLookup,
  };
}

function lookUp(hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    unicastLookup(hostname, { all: true }, (error) => (error ? reject(error) : resolve()));
  });
}
