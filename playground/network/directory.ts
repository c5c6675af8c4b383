import type { Account } from "./account.ts";

/** Everybody on the network, in the order of arrival. */
export interface Directory {
  add(account: Account): void;
  /** By DID or handle. */
  find(didOrHandle: string): Account | undefined;
  /** In the order of DIDs, which is the order of every paged list. */
  sorted(): Account[];
}

export function createDirectory(): Directory {
  const byDid = new Map<string, Account>();
  return {
    add: (account) => void byDid.set(account.did, account),
    // Handles change and are few: a scan needs no second map to keep in step.
    find: (name) => byDid.get(name) ?? [...byDid.values()].find(({ handle }) => handle === name),
    sorted: () => [...byDid.values()].toSorted((a, b) => (a.did < b.did ? -1 : 1)),
  };
}
