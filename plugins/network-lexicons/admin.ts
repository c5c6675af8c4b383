import { z } from "zod";
import { HttpError, json, type PluginApp } from "../../core/index.ts";
import { isAllowed } from "../../core/http/caller.ts";
import type { HistoryRequest, Lexicon } from "../../core/lexicons/registry.ts";
import type { PublishedLexicon } from "./fetch.ts";
import type { Serving } from "./serving.ts";

const addition = z.object({
  nsid: z.string(),
  target_collection: z.string().nullish(),
  backfill: z.boolean().nullish(),
});

export interface NetworkLexiconsAdminParts {
  app: Pick<PluginApp, "admin" | "lexicons">;
  serving: Serving;
  fetch(nsid: string): Promise<PublishedLexicon>;
}

/** `/admin/network-lexicons` (admin-api §2.2). */
export function networkLexiconsAdmin({ app, serving, fetch }: NetworkLexiconsAdminParts): void {
  const { admin, lexicons } = app;
  const isNetwork = ({ source }: Lexicon): boolean => source === "network";

  admin.route("GET /network-lexicons", { permission: "lexicons:read" }, () =>
    lexicons
      .list()
      .filter(isNetwork)
      .map(({ id, authorityDid, targetCollection, lastFetchedAt, createdAt }) => ({
        nsid: id,
        authority_did: authorityDid ?? "",
        target_collection: targetCollection,
        last_fetched_at: lastFetchedAt,
        created_at: createdAt,
      })),
  );
  admin.route("GET /network-lexicons/resolve/:nsid", { permission: "lexicons:read" }, async ({ params }) => {
    const { nsid, authorityDid, document, type } = await fetch(params["nsid"] ?? "");
    return { nsid, authority_did: authorityDid, type, lexicon_json: document };
  });
  admin.route(
    "POST /network-lexicons",
    { permission: "lexicons:create", body: addition },
    async ({ body, caller }) => {
      const found = await fetch(body.nsid);
      const history: HistoryRequest | undefined = isAllowed(caller, "backfill:create")
        ? { actor: caller.did }
        : undefined;
      const { revision } = await serving.add(found, {
        targetCollection: body.target_collection ?? null,
        backfill: body.backfill ?? false,
        origin: "admin",
        history,
        actor: caller.did,
      });
      const { nsid, authorityDid } = found;
      const job = history?.jobId === undefined ? {} : { backfill_job_id: history.jobId };
      return json({ nsid, authority_did: authorityDid, revision, ...job }, 201);
    },
  );
  admin.route(
    "DELETE /network-lexicons/:nsid",
    { permission: "lexicons:delete" },
    async ({ params, caller }) => {
      const known = lexicons.get(params["nsid"] ?? "");
      if (!known || !isNetwork(known))
        throw new HttpError(404, `network lexicon '${params["nsid"]}' not found`);
      await serving.remove(known, caller.did);
    },
  );
}
