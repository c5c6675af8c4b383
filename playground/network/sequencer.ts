import { datetimeAt, type NetworkClock } from "./clock.ts";
import type {
  AccountStatus,
  JetstreamAccount,
  JetstreamCommit,
  JetstreamEvent,
  JetstreamIdentity,
} from "./event.ts";
import type { StreamEntry } from "./event-stream.ts";
import { accountFrame, commitFrame, identityFrame, syncFrame } from "./frames.ts";
import { toSortedJson } from "./record.ts";
import type { RepoCommit, RepoOp } from "./signed-repo.ts";
import type { StreamLog } from "./stream.ts";

/** Gives each happening its number and time, and tells it to the relay and the Jetstream. */
export interface Sequencer {
  commit(did: string, commit: RepoCommit): void;
  /** Only the relay tells these: Jetstream v1 never sends them. */
  sync(did: string, head: Pick<RepoCommit, "rev" | "head">): void;
  identity(did: string, handle: string): JetstreamIdentity;
  account(did: string, status: AccountStatus): JetstreamAccount;
}

export function createSequencer(
  clock: NetworkClock,
  relay: StreamLog<StreamEntry>,
  publish: (event: JetstreamEvent) => void,
): Sequencer {
  const nextSeq = (): number => relay.end + 1;
  return {
    commit(did, commit) {
      const micros = clock.micros();
      relay.push({ did, data: commitFrame({ seq: nextSeq(), did, time: datetimeAt(micros) }, commit) });
      for (const op of commit.ops) publish(toJetstreamCommit(did, clock.micros(), commit.rev, op));
    },
    sync(did, head) {
      relay.push({ did, data: syncFrame({ seq: nextSeq(), did, time: datetimeAt(clock.micros()) }, head) });
    },
    identity(did, handle) {
      const micros = clock.micros();
      const envelope = { seq: nextSeq(), did, time: datetimeAt(micros) };
      relay.push({ did, data: identityFrame(envelope, handle) });
      const event: JetstreamIdentity = {
        did,
        time_us: micros,
        kind: "identity",
        identity: { ...envelope, handle },
      };
      publish(event);
      return event;
    },
    account(did, status) {
      const micros = clock.wholeMillis();
      const envelope = { seq: nextSeq(), did, time: datetimeAt(micros) };
      relay.push({ did, data: accountFrame(envelope, status) });
      const account = {
        active: status === "active",
        ...envelope,
        ...(status === "active" ? {} : { status }),
      };
      const event: JetstreamAccount = { did, time_us: micros, kind: "account", account };
      publish(event);
      return event;
    },
  };
}

function toJetstreamCommit(did: string, micros: number, rev: string, op: RepoOp): JetstreamCommit {
  const { action: operation, collection, rkey, cid, record } = op;
  const content = cid && record ? { record: toSortedJson(record), cid: cid.toString() } : {};
  return { did, time_us: micros, kind: "commit", commit: { rev, operation, collection, rkey, ...content } };
}
