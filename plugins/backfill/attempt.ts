import { explain } from "../../core/errors.ts";
import type { Logger } from "../../core/index.ts";
import type { Database } from "../../core/db/database.ts";
import type { Addresses } from "./addresses.ts";
import type { Failure } from "./failure.ts";
import type { Hosts } from "./hosts.ts";
import type { Hub } from "./hub.ts";
import type { Ledger } from "./ledger.ts";
import type { Occupancy } from "./occupancy.ts";
import { outcomeOf, type Outcome } from "./outcome.ts";
import type { Method } from "./plan.ts";
import type { Unit } from "./unit.ts";
import { workOn, type WorkParts } from "./work.ts";

export interface AttemptParts {
  db: Pick<Database, "isTransient">;
  log: Logger;
  ledger: Pick<Ledger, "note">;
  hub: Pick<Hub, "emit">;
  hosts: Pick<Hosts, "down">;
  occupancy: Occupancy;
  addresses: Addresses;
  work: WorkParts;
  jobId: string;
  method: Method;
  maxAttempts: number;
  coolDownMs: number;
  /** Unix milliseconds. */
  now: () => number;
  /** Units that wait for such a host fail. */
  failHost(host: string, failure: Failure): Promise<void>;
  /** The unit has to wait until its host has room. */
  waitFor(host: string): void;
}

/** One attempt at a unit: where it lives, what it holds, and what becomes of it. */
export async function attempt(unit: Unit, parts: AttemptParts): Promise<void> {
  const { ledger, occupancy, hub, jobId } = parts;
  const { did } = unit;
  try {
    const host = (unit.pdsEndpoint ??= await parts.addresses.lookUp(did));
    if (!parts.hosts.down(host) && occupancy.room(host) === 0) {
      ledger.note({ unit, status: "pending" });
      parts.waitFor(host);
      return;
    }
    await occupancy.occupying(host, () =>
      workOn(Object.assign(unit, { pdsEndpoint: host }), parts.method, parts.work),
    );
    ledger.note({ unit, status: "completed" });
    hub.emit(jobId, { type: "repo_fetched", did, pds_endpoint: host, records_fetched: unit.records });
  } catch (error) {
    await putBack(unit, error, parts);
  }
}

async function putBack(unit: Unit, error: unknown, parts: AttemptParts): Promise<void> {
  const { addresses, db, ledger, maxAttempts } = parts;
  const outcome = outcomeOf(error, {
    attempts: unit.attempts,
    maxAttempts,
    nowMs: parts.now(),
    retryMs: 2 * parts.coolDownMs,
    isStopping: parts.work.signal.aborted,
    isDatabaseAway: db.isTransient(error) && !(error instanceof TypeError),
  });
  const { status, failure, attempts, notBefore } = outcome;
  unit.attempts = attempts;
  const mayHaveMoved = status === "failed" && failure !== undefined;
  if (mayHaveMoved && (await addresses.hasMoved(unit, failure)) && unit.attempts < maxAttempts)
    return ledger.note({ unit, status: "pending" });
  ledger.note({ unit, status, ...(failure && { failure }), ...(notBefore !== undefined && { notBefore }) });
  await tell(unit, error, outcome, parts);
}

/** What failed is told to whoever watches; where a host is down, all that wait for it have failed. */
async function tell(
  unit: Unit,
  error: unknown,
  { status, failure, downHost }: Outcome,
  { log, hub, jobId, failHost }: AttemptParts,
): Promise<void> {
  if (failure === undefined) return;
  const { kind, message } = failure;
  const { did } = unit;
  log.debug("a repo could not be fetched", { job: jobId, did, status, kind, error: explain(error) });
  hub.emit(jobId, { type: "repo_failed", did, kind, message, will_retry: status === "retrying" });
  if (downHost === undefined || unit.pdsEndpoint !== downHost) return;
  log.warn("a host is down; its repos have failed", { job: jobId, host: downHost, reason: message });
  await failHost(downHost, failure);
}
