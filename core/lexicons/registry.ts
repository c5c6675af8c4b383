import { asc, eq } from "drizzle-orm";
import type { Clock } from "../clock.ts";
import type { Database } from "../db/database.ts";
import { coreSchema } from "../db/tables.ts";
import { explain } from "../errors.ts";
import type { Hooks } from "../hooks.ts";
import type { Logger } from "../log.ts";
import type { Origin } from "../resources/kind.ts";
import {
  parseAction,
  parseLexicon,
  type LexiconDocument,
  type ParsedLexicon,
  type ProcedureAction,
} from "./document.ts";

/** A lexicon as it is served: what the document says and what the instance adds to it. */
export interface Lexicon extends ParsedLexicon {
  document: LexiconDocument;
  revision: number;
  backfill: boolean;
  targetCollection: string | null;
  action: ProcedureAction | null;
  tokenCost: number | null;
  source: "manual" | "network";
  authorityDid: string | null;
  lastFetchedAt: string | null;
  createdAt: string;
  updatedAt: string;
  origin: Origin;
  configHash: string | null;
}

/** Asks for the history of a record lexicon that is new. */
export interface HistoryRequest {
  /** Who asks; null for the config. */
  actor: string | null;
  /** Set by whoever fetches it: the id of the job. */
  jobId?: string;
}

export interface LexiconInput {
  document: LexiconDocument;
  backfill?: boolean;
  targetCollection?: string | null;
  action?: string | null;
  tokenCost?: number | null;
  source?: "manual" | "network";
  authorityDid?: string | null;
  lastFetchedAt?: string | null;
  origin?: Origin;
  configHash?: string | null;
  history?: HistoryRequest | undefined;
}

export interface LexiconChange {
  action: "created" | "updated" | "deleted";
  lexicon: Lexicon;
  /** Only of a record lexicon that was created, by somebody who wants its history. */
  history?: HistoryRequest;
}

/** All known lexicons, in memory; every reader asks the map, so a change acts at once (sync-and-xrpc §1.1). */
export interface LexiconRegistry {
  get(id: string): Lexicon | undefined;
  /** Ordered by id. */
  list(): Lexicon[];
  /** True when records of this collection are indexed. */
  isTracked(collection: string): boolean;
  /** The ids of all record lexicons, ordered. */
  collections(): string[];
  /** Creates or replaces; what the input leaves out is reset (sync-and-xrpc §1.4). */
  put(input: LexiconInput): Promise<Lexicon>;
  /** Notes that the document was read anew and is the same: no new revision, nothing is announced. */
  confirm(id: string, read: { authorityDid: string; lastFetchedAt: string }): Promise<void>;
  remove(id: string): Promise<Lexicon | undefined>;
}

export async function createLexiconRegistry(
  db: Database,
  hooks: Hooks,
  clock: Clock,
  log: Logger,
): Promise<LexiconRegistry> {
  const { lexicons } = db.tables(coreSchema);
  const known = new Map<string, Lexicon>();
  for (const row of await db.orm.select().from(lexicons).orderBy(asc(lexicons.id))) {
    try {
      known.set(row.id, fromRow(row));
    } catch (error) {
      log.warn("a stored lexicon cannot be read and is left out", { lexicon: row.id, error: explain(error) });
    }
  }
  const sorted = (): Lexicon[] => [...known.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const announce = async (change: LexiconChange): Promise<void> => {
    await hooks.callHook("lexicon:changed", change);
    const { action, lexicon } = change;
    await hooks.callHook("resource:changed", {
      kind: "lexicon",
      id: lexicon.id,
      action,
      origin: lexicon.origin,
    });
  };

  return {
    get: (id) => known.get(id),
    list: sorted,
    isTracked: (collection) => known.get(collection)?.type === "record",
    collections: () => sorted().flatMap((lexicon) => (lexicon.type === "record" ? [lexicon.id] : [])),
    async put(input) {
      const { id } = parseLexicon(input.document);
      const before = known.get(id);
      const now = clock.timestamp();
      const row = {
        id,
        revision: (before?.revision ?? 0) + 1,
        lexicon_json: JSON.stringify(input.document),
        backfill: input.backfill ?? true,
        target_collection: input.targetCollection ?? null,
        action: parseAction(input.action),
        token_cost: input.tokenCost ?? null,
        source: input.source ?? "manual",
        authority_did: input.authorityDid ?? before?.authorityDid ?? null,
        last_fetched_at: input.lastFetchedAt ?? before?.lastFetchedAt ?? null,
        created_at: before?.createdAt ?? now,
        updated_at: now,
        origin: input.origin ?? "admin",
        config_hash: input.configHash ?? before?.configHash ?? null,
      };
      await db.orm.insert(lexicons).values(row).onConflictDoUpdate({ target: lexicons.id, set: row });
      const lexicon = fromRow(row);
      known.set(id, lexicon);
      const isNew = !before && lexicon.type === "record" && lexicon.backfill;
      await announce({
        action: before ? "updated" : "created",
        lexicon,
        ...(input.history && isNew ? { history: input.history } : {}),
      });
      return lexicon;
    },
    async confirm(id, { authorityDid, lastFetchedAt }) {
      const columns = { authority_did: authorityDid, last_fetched_at: lastFetchedAt };
      await db.orm.update(lexicons).set(columns).where(eq(lexicons.id, id));
      const lexicon = known.get(id);
      if (lexicon) known.set(id, { ...lexicon, authorityDid, lastFetchedAt });
    },
    async remove(id) {
      const lexicon = known.get(id);
      if (!lexicon) return undefined;
      await db.orm.delete(lexicons).where(eq(lexicons.id, id));
      known.delete(id);
      await announce({ action: "deleted", lexicon });
      return lexicon;
    },
  };
}

type LexiconRow = ReturnType<typeof coreSchema.build>["lexicons"]["$inferSelect"];

function fromRow(row: LexiconRow): Lexicon {
  const document = JSON.parse(row.lexicon_json) as LexiconDocument; // parseLexicon checks it next
  return {
    ...parseLexicon(document),
    document,
    revision: row.revision,
    backfill: row.backfill,
    targetCollection: row.target_collection,
    action: parseAction(row.action),
    tokenCost: row.token_cost,
    source: row.source === "network" ? "network" : "manual",
    authorityDid: row.authority_did,
    lastFetchedAt: row.last_fetched_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    origin: row.origin === "config" ? "config" : "admin",
    configHash: row.config_hash,
  };
}
