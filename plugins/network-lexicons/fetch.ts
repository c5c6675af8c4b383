import { HttpError, type PluginApp } from "../../core/index.ts";
import { resolveAuthority } from "../../core/identity/authority.ts";
import { isObject, type LexiconDocument } from "../../core/lexicons/document.ts";

export interface PublishedLexicon {
  nsid: string;
  authorityDid: string;
  document: LexiconDocument;
  /** `defs.main.type`, null without one. */
  type: unknown;
}

/** NSID → authority → PDS → `com.atproto.lexicon.schema` record. */
export async function fetchLexicon(
  nsid: string,
  app: Pick<PluginApp, "identity" | "fetch">,
): Promise<PublishedLexicon> {
  const authorityDid = await resolveAuthority(nsid);
  const pds = await app.identity.pds(authorityDid);
  const query = new URLSearchParams({
    repo: authorityDid,
    collection: "com.atproto.lexicon.schema",
    rkey: nsid,
  });
  const response = await app.fetch(`${pds}/xrpc/com.atproto.repo.getRecord?${query}`, { redirect: "error" });
  const answer: unknown = response.ok ? await response.json() : undefined;
  const document = isObject(answer) ? answer["value"] : undefined;
  if (!isObject(document))
    throw new HttpError(404, `lexicon record not found for ${nsid} in ${authorityDid}'s repo`);
  if (document["id"] !== nsid)
    throw new HttpError(
      400,
      `the lexicon record of ${nsid} carries the id ${JSON.stringify(document["id"])}`,
    );
  const main = isObject(document["defs"]) ? document["defs"]["main"] : undefined;
  return { nsid, authorityDid, document, type: isObject(main) ? (main["type"] ?? null) : null };
}
