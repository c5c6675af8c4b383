import type { AppHooks, Caller, PluginApp } from "../../core/index.ts";
import type { Session } from "./sessions.ts";

type Admission = Parameters<AppHooks["request"]>[0];

/** Tells an app that its token was refreshed here, and until when the new one is good; `…/token` gives it. */
const header = "x-happyview-session-refreshed";

/** Lets answers say that the session of the caller has another token than its app got from the PDS. */
export interface Refreshed {
  /** At the start of a request, by the session that its caller proved. */
  begin(caller: Caller, session: Session): void;
  /** While the request is answered, by the session as it is now. */
  tell(caller: Caller, session: Session): void;
}

export function createRefreshed({ hook }: Pick<PluginApp, "hook">): Refreshed {
  /** Sessions until their request is admitted, then what becomes the headers of its answer. */
  const sessions = new WeakMap<Caller, Session>();
  const admissions = new WeakMap<Caller, Admission>();
  const tell = (caller: Caller, { refreshedAt, expiresAt }: Session): void => {
    const admission = admissions.get(caller);
    if (admission && refreshedAt !== null)
      admission.headers = { ...admission.headers, [header]: expiresAt ?? "" };
  };

  hook("request", (admission) => {
    const session = sessions.get(admission.caller);
    if (!session) return;
    admissions.set(admission.caller, admission);
    tell(admission.caller, session);
  });
  return { begin: (caller, session) => void sessions.set(caller, session), tell };
}
