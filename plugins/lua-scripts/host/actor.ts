import { anonymous, type Caller } from "../../../core/http/caller.ts";
import type { ScriptRun } from "../engine/script-run.ts";
import type { PdsSession } from "./pds.ts";

/** In whose name a run acts on the host (lua §1.3, 1.4, 1.7, 3.6). */
export interface Actor {
  caller: Caller;
  delegateDid?: string | undefined;
  /** Without one `Record` is in no-auth mode. */
  session?: PdsSession | undefined;
  /** How many calls of scripts led to this run. */
  nesting: number;
}

/** Who acts when nobody says: the author of a record, nobody for a label, the creator of a job. */
export function actorOf(run: ScriptRun): Actor {
  switch (run.kind) {
    case "record":
      return { caller: account(run.event.did), nesting: 0 };
    case "job":
      return { caller: account(run.job.createdBy), nesting: 0 };
    case "query":
      return { caller: account(run.query.callerDid), nesting: 0 };
    case "procedure":
      return { caller: account(run.procedure.callerDid), nesting: 0 };
    case "label":
      return { caller: anonymous, nesting: 0 };
  }
}

function account(did: string | undefined): Caller {
  return did ? { ...anonymous, did } : anonymous;
}
