import { z } from "zod";
import { HttpError } from "../errors.ts";
import type { Events } from "../events.ts";
import type { AdminRoutes } from "../http/admin.ts";
import { isAllowed } from "../http/caller.ts";
import { json } from "../http/reply.ts";
import type { LexiconDocument } from "./document.ts";
import type { HistoryRequest, Lexicon, LexiconRegistry } from "./registry.ts";

const upload = z.object({
  // Its shape is checked by parseLexicon, in HappyView's words; here it only has to be there.
  lexicon_json: z.unknown().refine((value) => value !== undefined, "missing field `lexicon_json`"),
  backfill: z.boolean().nullish(),
  target_collection: z.string().nullish(),
  action: z.string().nullish(),
  token_cost: z.int32().nullish(),
});

/** `/admin/lexicons` (sync-and-xrpc §1.4–1.5). */
export function lexiconsAdmin(admin: AdminRoutes, lexicons: LexiconRegistry, events: Events): void {
  admin.route("POST /lexicons", { permission: "lexicons:create", body: upload }, async ({ body, caller }) => {
    const history: HistoryRequest | undefined = isAllowed(caller, "backfill:create")
      ? { actor: caller.did }
      : undefined;
    const { id, revision } = await lexicons.put({
      history,
      document: body.lexicon_json as LexiconDocument, // parseLexicon refuses what is not one
      backfill: body.backfill ?? true,
      targetCollection: body.target_collection,
      action: body.action,
      tokenCost: body.token_cost,
    });
    const type = revision === 1 ? "lexicon.created" : "lexicon.updated";
    events.emit({ type, actor: caller.did, subject: id, detail: { revision, source: "manual" } });
    return json({ id, revision, backfill_job_id: history?.jobId ?? null }, revision === 1 ? 201 : 200);
  });
  admin.route("GET /lexicons", { permission: "lexicons:read" }, () =>
    lexicons.list().map((lexicon) => ({
      ...summary(lexicon),
      ...(lexicon.type === "record" ? { record_schema: lexicon.recordSchema ?? null } : {}),
    })),
  );
  admin.route("GET /lexicons/:id", { permission: "lexicons:read" }, ({ params }) => {
    const lexicon = lexicons.get(params["id"] ?? "");
    if (!lexicon) throw missing(params["id"]);
    return { ...summary(lexicon), lexicon_json: lexicon.document };
  });
  admin.route("DELETE /lexicons/:id", { permission: "lexicons:delete" }, async ({ params, caller }) => {
    const removed = await lexicons.remove(params["id"] ?? "");
    if (!removed) throw missing(params["id"]);
    events.emit({ type: "lexicon.deleted", actor: caller.did, subject: removed.id });
  });
}

function missing(id: string | undefined): HttpError {
  return new HttpError(404, `lexicon '${id}' not found`);
}

function summary(lexicon: Lexicon): Record<string, unknown> {
  return {
    id: lexicon.id,
    revision: lexicon.revision,
    lexicon_type: lexicon.type,
    backfill: lexicon.backfill,
    action: lexicon.action,
    target_collection: lexicon.targetCollection,
    source: lexicon.source,
    authority_did: lexicon.authorityDid,
    last_fetched_at: lexicon.lastFetchedAt,
    created_at: lexicon.createdAt,
    updated_at: lexicon.updatedAt,
    token_cost: lexicon.tokenCost,
  };
}
