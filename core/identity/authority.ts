import { resolveTxt } from "node:dns/promises";
import { explain, HttpError } from "../errors.ts";

export type TxtLookup = (name: string) => Promise<string[][]>;

/** The DNS name that says who publishes an NSID: `a.b.c.name` → `_lexicon.c.b.a` (sync-and-xrpc §1.6). */
export function authorityName(nsid: string): string {
  const segments = nsid.split(".");
  if (segments.length < 2) throw new HttpError(400, `invalid NSID (too few segments): ${nsid}`);
  return `_lexicon.${segments.slice(0, -1).toReversed().join(".")}`;
}

/** The DID of an NSID's authority, by a TXT record that begins `did=`. */
export async function resolveAuthority(nsid: string, lookup: TxtLookup = resolveTxt): Promise<string> {
  const name = authorityName(nsid);
  let records: string[][];
  try {
    records = await lookup(name);
  } catch (error) {
    throw new HttpError(400, `DNS TXT lookup failed for ${name}: ${explain(error)}`);
  }
  const found = records.flat().find((text) => text.startsWith("did="));
  if (!found) throw new HttpError(400, `no did= TXT record found at ${name}`);
  return found.slice("did=".length);
}
