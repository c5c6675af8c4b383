import { definePlugin, HttpError, json } from "../../core/index.ts";
import { z } from "zod";
import { fetchLexicon } from "./fetch.ts";

/**
 * Lexicons that other people publish: resolved by DNS, read from their authority's repo, and kept current from the
 * stream (sync-and-xrpc §1.6).
 */
export const networkLexicons = definePlugin({
  name: "network-lexicons",
  setup(app) {
    const { admin, lexicons, log } = app;
    const tracked = (nsid: string | undefined) => {
      const lexicon = lexicons.get(nsid ?? "");
      return lexicon?.source === "network" ? lexicon : undefined;
    };
    admin.route("GET /network-lexicons", { permission: "lexicons:read" }, () =>
      lexicons
        .list()
        .filter((lexicon) => lexicon.source === "network")
        .map(({ id, authorityDid, targetCollection, lastFetchedAt, createdAt }) => ({
          nsid: id,
          authority_did: authorityDid ?? "",
          target_collection: targetCollection,
          last_fetched_at: lastFetchedAt,
          created_at: createdAt,
        })),
    );
    admin.route(
      "GET /network-lexicons/resolve/:nsid",
      { permission: "lexicons:read" },
      async ({ params }) => {
        const { nsid, authorityDid, document, type } = await fetchLexicon(params["nsid"] ?? "", app);
        return { nsid, authority_did: authorityDid, type, lexicon_json: document };
      },
    );
    const body = z.object({ nsid: z.string(), target_collection: z.string().nullish() });
    admin.route(
      "POST /network-lexicons",
      { permission: "lexicons:create", body },
      async ({ body: given }) => {
        const { nsid, authorityDid, document } = await fetchLexicon(given.nsid, app);
        const { revision } = await lexicons.put({
          document,
          authorityDid,
          source: "network",
          backfill: false,
          targetCollection: given.target_collection,
          lastFetchedAt: app.clock.timestamp(),
        });
        return json({ nsid, authority_did: authorityDid, revision }, 201);
      },
    );
    admin.route("DELETE /network-lexicons/:nsid", { permission: "lexicons:delete" }, async ({ params }) => {
      const lexicon = tracked(params["nsid"]);
      if (!lexicon) throw new HttpError(404, `network lexicon '${params["nsid"]}' not found`);
      await lexicons.remove(lexicon.id);
    });
    app.hook("lexicon:published", async ({ did, nsid, document }) => {
      const lexicon = tracked(nsid);
      if (lexicon?.authorityDid !== did) return;
      if (!document) {
        await lexicons.remove(nsid);
        return;
      }
      if (document["id"] !== nsid) {
        log.warn("a published lexicon does not carry the NSID of its record; the known version stays", {
          nsid,
        });
        return;
      }
      await lexicons.put({ ...lexicon, document, lastFetchedAt: app.clock.timestamp() });
    });
  },
});
