import { TID } from "@atproto/common-web";
import type { IdentityEvent as TapIdentity } from "@atproto/tap";
import type { Database } from "../../core/db/database.ts";
import type { SourceEvent } from "../../core/index.ts";

export interface TapIdentities {
  /** What an identity event of a Tap means. All earlier events of the repo must be durable. */
  eventsOf(event: TapIdentity): Promise<SourceEvent[]>;
}

interface Known {
  status: string | null;
  status_rev: string | null;
  rev: string | null;
}

const maxRemembered = 10_000;

/**
 * A Tap tells the status of an account without the time of its change. Its events of one repo come in order, so a change
 * concerns all that is known of the repo by now and nothing that follows: its rev is the next after those that are
 * stored. After a crash a Tap repeats what it had been told was done, and a deletion of old must not happen twice.
 */
export function createTapIdentities({ db }: { db: Pick<Database, "get"> }): TapIdentities {
  const done = new Set<string>();

  /** True the first time; the oldest are forgotten. */
  function isNew(key: string): boolean {
    if (done.has(key)) return false;
    const [oldest = ""] = done.size < maxRemembered ? [] : done;
    done.delete(oldest);
    done.add(key);
    return true;
  }

  return {
    async eventsOf({ id, did, handle, isActive, status }) {
      const identity: SourceEvent = { kind: "identity", did, handle };
      const known = await db.get<Known>(
        `SELECT (SELECT status FROM happyview_accounts WHERE did = ?) AS status,
           (SELECT status_rev FROM happyview_accounts WHERE did = ?) AS status_rev,
           (SELECT max(rev) FROM (SELECT rev FROM happyview_records WHERE did = ?
              UNION ALL SELECT rev FROM happyview_withheld_records WHERE did = ?) AS stored) AS rev`,
        [did, did, did, did],
      );
      if (!isNew(`${id} ${did}`)) return [identity];
      const announced = isActive ? "active" : status;
      if (announced === (known?.status ?? "active")) return [identity];
      const newest = [known?.status_rev ?? "", known?.rev ?? ""].toSorted().at(-1) ?? "";
      return [identity, { kind: "account", did, active: isActive, status, rev: after(newest) }];
    },
  };
}

/** The least TID that is greater. */
function after(rev: string): string {
  if (!TID.is(rev)) return TID.fromTime(2 ** 50, 0).toString();
  return TID.fromTime(TID.fromStr(rev).timestamp() + 1, 0).toString();
}
