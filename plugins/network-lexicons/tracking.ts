import { isDeepStrictEqual } from "node:util";
import { TID } from "@atproto/common-web";
import { explain } from "../../core/errors.ts";
import type { AppHooks, PluginApp } from "../../core/index.ts";
import type { LexiconDocument } from "../../core/lexicons/document.ts";
import { checkPublished } from "./document.ts";
import type { Keeper } from "./keeper.ts";
import type { Serving } from "./serving.ts";

export interface TrackingParts {
  app: Pick<PluginApp, "lexicons" | "events" | "log">;
  keeper: Pick<Keeper, "wanted" | "soon" | "withdraw">;
  serving: Pick<Serving, "update">;
}

/**
 * What the stream says of lexicon records: an authority's own are put into force at once, what anybody else publishes
 * under an NSID is nothing (sync-and-xrpc §1.6).
 */
export function createTracking({ app, keeper, serving }: TrackingParts): AppHooks["lexicon:published"] {
  const { lexicons, events, log } = app;

  function accept(nsid: string, document: LexiconDocument): LexiconDocument | undefined {
    try {
      return checkPublished(nsid, document);
    } catch (error) {
      const reason = explain(error).slice(0, 500);
      log.warn("a published lexicon is refused; the known version serves on", { nsid, reason });
      const detail = { reason, source: "network" };
      events.emit({ type: "lexicon.refused", severity: "warn", subject: nsid, detail });
      return undefined;
    }
  }

  return async ({ did, nsid, rev, document }) => {
    if (keeper.wanted().has(nsid)) keeper.soon(nsid);
    const known = lexicons.get(nsid);
    if (known?.source !== "network" || known.authorityDid !== did) return;
    if (document && isDeepStrictEqual(document, known.document)) return;
    // A stream that resumes says old things again, and a delete may have been followed by a new version long ago.
    if (isOlder(rev, known.lastFetchedAt)) keeper.soon(nsid, !document);
    else if (!document) await keeper.withdraw(known);
    else if (accept(nsid, document)) await serving.update(known, { authorityDid: did, document });
  };
}

/** Whether a commit was made before the document was read; false where that cannot be told. */
function isOlder(rev: string, readAt: string | null): boolean {
  if (readAt === null || !TID.is(rev)) return false;
  return TID.fromStr(rev).timestamp() / 1000 < Date.parse(readAt);
}
