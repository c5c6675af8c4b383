import { isValidNsid } from "@atproto/syntax";
import { networkLexiconsKey, type NetworkLexicon } from "../../core/config/network-lexicons.ts";
import { HappyViewError, type ResourceKind } from "../../core/index.ts";
import type { LexiconRegistry } from "../../core/lexicons/registry.ts";
import type { Keeper } from "./keeper.ts";

/**
 * The entries of `networkLexicons` in the config. Deploying one only says that it is wanted: asking its authority may
 * take as long as it likes.
 */
export function networkLexiconResource(
  lexicons: LexiconRegistry,
  keeper: Pick<Keeper, "want" | "wanted" | "forget" | "soon">,
): ResourceKind<Omit<NetworkLexicon, "nsid">> {
  const isFile = (nsid: string): boolean => {
    const known = lexicons.get(nsid);
    return known?.source === "manual" && known.origin === "config";
  };
  return {
    kind: "network lexicon",
    folder: networkLexiconsKey,
    idOf(nsid) {
      if (isValidNsid(nsid)) return nsid;
      throw new HappyViewError("RESOURCE_PATH", {
        message: `\`${networkLexiconsKey}\` names ${nsid.slice(0, 320)}, which is not an NSID`,
        hint: "name a lexicon such as com.example.status",
      });
    },
    parse: ({ text }) => JSON.parse(text) as Omit<NetworkLexicon, "nsid">, // as networkLexiconSources wrote it
    async stored() {
      const known = lexicons.list().filter(({ id }) => !isFile(id));
      const waiting = [...keeper.wanted()].map(([id, { origin, configHash = null }]) => ({
        id,
        origin,
        configHash,
      }));
      return [...known.map(({ id, origin, configHash }) => ({ id, origin, configHash })), ...waiting];
    },
    async put(nsid, { targetCollection = null, backfill = false }, by) {
      if (isFile(nsid))
        throw new HappyViewError("LEXICON_INVALID", {
          message: `${nsid} is a file in lexicons/ and an entry of \`${networkLexiconsKey}\`, too; the file serves`,
          hint: "remove one of them",
        });
      const known = lexicons.get(nsid);
      if (known?.source === "network") await lexicons.put({ ...known, targetCollection, backfill, ...by });
      else {
        const history = backfill ? { actor: null } : undefined;
        keeper.want(nsid, { targetCollection, backfill, history, actor: null, ...by });
      }
    },
    async remove(nsid) {
      keeper.forget(nsid);
      const known = lexicons.get(nsid);
      if (known?.source === "network" && known.origin === "config") await lexicons.remove(nsid);
    },
  };
}
