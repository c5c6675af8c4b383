/** A repo's `<uri>` from its parts. */
export function atUri(did: string, collection: string, rkey: string): string {
  return `at://${did}/${collection}/${rkey}`;
}

/** The collection in which lexicons are published: its records are announced, not indexed (sync-and-xrpc §1.6). */
export const lexiconSchema = "com.atproto.lexicon.schema";

export type RecordAction = "create" | "update" | "delete";

/** One operation of one commit, from any source. */
export interface CommitEvent {
  kind: "commit";
  action: RecordAction;
  did: string;
  collection: string;
  rkey: string;
  /** The commit's TID. The greater one wins; empty when the source does not know it. */
  rev: string;
  /** JSON form of the record; absent on delete. */
  record?: Record<string, unknown> | undefined;
  /** The record as JSON text, where it is known already. */
  text?: string;
  /** As claimed by the source; empty when it claims none. */
  cid: string;
  /** The source has already checked that the record has this CID. */
  isVerified?: boolean;
  /**
   * What the repo holds at `rev`, as a backfill reads it. It counts anew where this very rev is known, so that a record
   * passes the scripts of today; a commit that a source repeats does not.
   */
  isSnapshot?: boolean;
}

/** A change of an account's hosting status (account hosting spec: deleted, takendown, suspended, deactivated). */
export interface AccountEvent {
  kind: "account";
  did: string;
  active: boolean;
  status?: string | undefined;
  /** The event's time as a TID, so that it compares with a commit's rev. */
  rev: string;
}

/** The DID document or handle changed: nothing is stored, caches forget the DID. */
export interface IdentityEvent {
  kind: "identity";
  did: string;
  handle?: string | undefined;
}

/** The repo was read anew: what is older than `rev` is gone, and what it has comes again with revs that are no older. */
export interface SyncEvent {
  kind: "sync";
  did: string;
  rev: string;
}

export type SourceEvent = CommitEvent | AccountEvent | IdentityEvent | SyncEvent;

/** How far a source has been read, stored in the same transaction as what was read. */
export interface StreamPosition {
  source: string;
  position: string;
  /** Unix microseconds of the event there, where the position itself is no time. */
  timeUs?: number | undefined;
  /** Of the lead under which it was read: what an earlier leader writes late is ignored. @default 0 */
  epoch?: number;
}

/** What was written, in order. */
export interface AppliedChange {
  action: RecordAction;
  uri: string;
  did: string;
  collection: string;
  rkey: string;
  cid: string;
  /** JSON text as stored; null on delete. */
  record: string | null;
}
