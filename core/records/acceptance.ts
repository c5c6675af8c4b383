import type { Events } from "../events.ts";
import type { LexiconRegistry } from "../lexicons/registry.ts";
import type { Logger } from "../log.ts";
import { atUri, lexiconSchema, type SourceEvent } from "./change.ts";
import { cidMatches, shapeProblem } from "./verify.ts";

export interface AcceptanceParts {
  lexicons: Pick<LexiconRegistry, "isTracked">;
  events: Events;
  log: Logger;
}

/** Everything about an event that can be decided without waiting: undefined when it goes on. */
export function refusalOf(
  event: SourceEvent,
  { lexicons, events, log }: AcceptanceParts,
): "skipped" | "rejected" | undefined {
  if (event.kind !== "commit") return undefined;
  const { did, collection, rkey, cid } = event;
  const subject = atUri(did, collection, rkey);
  const reason = shapeProblem(did, collection, rkey);
  if (reason) {
    log.warn("an event that names no record was dropped", { subject: subject.slice(0, 300), reason });
    return "rejected";
  }
  if (collection === lexiconSchema) return undefined;
  if (!lexicons.isTracked(collection)) return "skipped";
  if (event.action === "delete") return undefined;
  if (!event.record) return "rejected";
  if (event.isVerified || cidMatches(event.record, cid)) return undefined;
  log.warn("a record does not have the CID that its source claims; dropped", { uri: subject, cid });
  const detail = { did, collection, rkey, cid };
  events.emit({ type: "record.cid_mismatch", severity: "warn", subject, detail });
  return "rejected";
}
