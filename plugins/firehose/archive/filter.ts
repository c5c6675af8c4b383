import type { BlockFilter } from "./block.ts";
import { isCommit, rowKind } from "./block.ts";

/** What of an archive is wanted; what is left out matches everything. */
export interface Wanted {
  /** NSIDs. Of commits alone: events of accounts, identities and repos come besides. */
  collections?: readonly string[] | undefined;
  dids?: readonly string[] | undefined;
  kinds?: readonly WantedKind[] | undefined;
}

export type WantedKind = "commit" | "identity" | "account" | "sync";

/** The same as the planner's, and exact: it plans whole blocks (jetstream §3.1). */
export function toFilter({
  collections,
  dids,
  kinds,
}: Wanted): Pick<BlockFilter, "wantsKind" | "wantsCollection" | "wantsDid"> {
  const names = new Map([
    [rowKind.identity as number, "identity"],
    [rowKind.account, "account"],
    [rowKind.sync, "sync"],
  ]);
  const wantedKinds = kinds && new Set<string>(kinds);
  const wantedCollections = collections && new Set(collections);
  const wantedDids = dids && new Set(dids);
  return {
    wantsKind: (kind) => !wantedKinds || wantedKinds.has(isCommit(kind) ? "commit" : (names.get(kind) ?? "")),
    wantsCollection: wantedCollections ? (name) => wantedCollections.has(name) : () => true,
    wantsDid: wantedDids ? (did) => wantedDids.has(did) : () => true,
  };
}
