import { isDeepStrictEqual } from "node:util";
import type { Origin, PluginApp } from "../../core/index.ts";
import type { LexiconDocument } from "../../core/lexicons/document.ts";
import type { HistoryRequest, Lexicon } from "../../core/lexicons/registry.ts";
import type { PublishedLexicon } from "./fetch.ts";

/** What the instance adds to a published lexicon. */
export interface Addition {
  targetCollection: string | null;
  backfill: boolean;
  origin: Origin;
  configHash?: string | null;
  /** Asks for its records, where it is new. */
  history?: HistoryRequest | undefined;
  /** Who adds it; null for the config. */
  actor: string | null;
}

/** What becomes of published lexicons here: the registry's rows, and the events that tell of them. */
export interface Serving {
  /** Serves one, in place of whatever had its NSID; its action and token cost stay. */
  add(found: PublishedLexicon, addition: Addition): Promise<Lexicon>;
  /** Gives one that is served a document that was read anew; an equal one makes no revision. */
  update(known: Lexicon, read: { authorityDid: string; document: LexiconDocument }): Promise<void>;
  remove(known: Lexicon, actor: string | null): Promise<void>;
}

const source = "network";

export function createServing(app: Pick<PluginApp, "lexicons" | "clock" | "events" | "log">): Serving {
  const { lexicons, clock, events, log } = app;
  return {
    async add({ nsid, authorityDid, document }, { actor, ...addition }) {
      const before = lexicons.get(nsid);
      const lexicon = await lexicons.put({
        action: before?.action,
        tokenCost: before?.tokenCost,
        ...addition,
        source,
        document,
        authorityDid,
        lastFetchedAt: clock.timestamp(),
      });
      const type = before ? "lexicon.updated" : "lexicon.created";
      events.emit({ type, actor, subject: nsid, detail: { revision: lexicon.revision, source } });
      return lexicon;
    },
    async update(known, { authorityDid, document }) {
      const read = { authorityDid, lastFetchedAt: clock.timestamp() };
      const moved = known.authorityDid !== null && known.authorityDid !== authorityDid;
      if (isDeepStrictEqual(known.document, document)) await lexicons.confirm(known.id, read);
      else {
        const { revision } = await lexicons.put({ ...known, document, ...read });
        events.emit({ type: "lexicon.updated", subject: known.id, detail: { revision, source } });
      }
      if (!moved) return;
      // Whoever owns the domain now says what the NSID means: somebody should look.
      const detail = { from: known.authorityDid, to: authorityDid };
      log.warn("another account publishes a network lexicon now", { nsid: known.id, ...detail });
      events.emit({ type: "lexicon.authority_changed", severity: "warn", subject: known.id, detail });
    },
    async remove(known, actor) {
      await lexicons.remove(known.id);
      events.emit({ type: "lexicon.deleted", actor, subject: known.id, detail: { source } });
    },
  };
}
