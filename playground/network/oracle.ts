import { microsOf, tidAt } from "./clock.ts";
import type { JetstreamAccount, JetstreamCommit, JetstreamEvent, JsonRecord } from "./event.ts";

export interface ExpectedRecord {
  cid: string;
  rev: string;
  record: JsonRecord;
}

interface AccountState {
  time: number;
  isHidden: boolean;
  /** Commits with an older rev are void: the account was deleted then. Empty when it never was. */
  voidBefore: string;
}

/**
 * What an index must hold after these events, by URI. Knows nothing of the server it judges:
 * - of one record the highest rev wins, wherever it stands in the stream; a delete is a version like another
 * - `deleted` voids every commit whose rev is older than the event's `time`, also those that come later
 * - `takendown`, `suspended` and `deactivated` hide the account's records until an event says it is active
 * - an account event older than the last one applied to that account is ignored
 */
export function oracle(events: Iterable<JetstreamEvent>): Map<string, ExpectedRecord> {
  const versions = new Map<string, JetstreamCommit>();
  const accounts = new Map<string, AccountState>();
  for (const event of events) {
    if (event.kind === "commit") applyCommit(versions, event);
    else if (event.kind === "account") applyAccount(accounts, event);
  }
  const table = new Map<string, ExpectedRecord>();
  for (const [uri, { did, commit }] of versions) {
    const { rev, cid, record } = commit;
    const account = accounts.get(did);
    const isGone = cid === undefined || record === undefined;
    if (isGone || account?.isHidden || rev < (account?.voidBefore ?? "")) continue;
    table.set(uri, { cid, rev, record });
  }
  return table;
}

function applyCommit(versions: Map<string, JetstreamCommit>, event: JetstreamCommit): void {
  const { collection, rkey, rev } = event.commit;
  const uri = `at://${event.did}/${collection}/${rkey}`;
  const known = versions.get(uri);
  // TIDs sort as text.
  if (!known || rev > known.commit.rev) versions.set(uri, event);
}

function applyAccount(accounts: Map<string, AccountState>, { did, account }: JetstreamAccount): void {
  const time = microsOf(account.time);
  const known = accounts.get(did);
  if (known && time < known.time) return;
  const state: AccountState = { voidBefore: "", isHidden: false, ...known, time };
  if (account.active) state.isHidden = false;
  else if (account.status === "deleted") state.voidBefore = tidAt(time, 0);
  else if (hiding.has(account.status ?? "")) state.isHidden = true;
  accounts.set(did, state);
}

const hiding = new Set(["takendown", "suspended", "deactivated"]);
