import type { SourceFile } from "../resources/files.ts";

/** A lexicon that somebody else publishes. */
export interface NetworkLexicon {
  nsid: string;
  /** The collection that a query lists and a procedure writes. */
  targetCollection?: string | undefined;
  /** Fetches the history when a record lexicon is new. @default false */
  backfill?: boolean | undefined;
}

/** The key of the config, and of the resources that are made of it. */
export const networkLexiconsKey = "networkLexicons";

/** One entry for each NSID. Layers of a config are joined, the closest first: that one holds. */
export function resolveNetworkLexicons(entries: readonly (string | NetworkLexicon)[]): NetworkLexicon[] {
  const known = new Map<string, NetworkLexicon>();
  for (const entry of entries) {
    const lexicon = typeof entry === "string" ? { nsid: entry } : entry;
    if (!known.has(lexicon.nsid)) known.set(lexicon.nsid, lexicon);
  }
  return [...known.values()];
}

/** The entries as sources of resources, so that they are planned and applied like files. */
export function networkLexiconSources(lexicons: readonly NetworkLexicon[]): Record<string, SourceFile[]> {
  const sources = lexicons.map(({ nsid, targetCollection = null, backfill = false }) => ({
    path: nsid,
    name: `${networkLexiconsKey}: ${nsid}`,
    text: JSON.stringify({ targetCollection, backfill }),
  }));
  return { [networkLexiconsKey]: sources };
}
