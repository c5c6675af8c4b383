import { Resolver } from "node:dns/promises";
import { isValidDid, isValidNsid } from "@atproto/syntax";
import { explain, HappyViewError, HttpError } from "../errors.ts";

/** The TXT records of a DNS name, each as its character-strings. */
export type TxtLookup = (name: string) => Promise<string[][]>;

export interface TxtLookupOptions {
  /** `address` or `address:port`, an IPv6 address with a port as `[address]:port`. @default those of the system */
  servers?: readonly string[];
  /** For a whole lookup, in milliseconds. @default 5000 */
  timeoutMs?: number;
}

/**
 * Looks names up at DNS servers that may be silent: a lookup ends after its time, whatever they do.
 * @throws HappyViewError CONFIG_INVALID for a server that is no address
 */
export function createTxtLookup(options: TxtLookupOptions = {}): TxtLookup {
  const { servers = [], timeoutMs = 5000 } = options;
  // The second try waits twice as long as the first.
  const open = (): Resolver => {
    const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 3), tries: 2 });
    if (servers.length > 0) resolver.setServers(servers);
    return resolver;
  };
  try {
    open();
  } catch (cause) {
    throw new HappyViewError("CONFIG_INVALID", {
      message: `a DNS server is not an address: ${explain(cause)}`,
      hint: "DNS_SERVERS is a list such as 127.0.0.1:5353,9.9.9.9",
      cause,
    });
  }
  return async (name) => {
    const resolver = open(); // of its own, since cancelling ends everything that a resolver does
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      resolver.cancel();
    }, timeoutMs);
    try {
      return await resolver.resolveTxt(name);
    } catch (error) {
      throw isLate ? new Error(`no answer within ${timeoutMs} ms`) : error;
    } finally {
      clearTimeout(timer);
    }
  };
}

/** The servers of the variable `DNS_SERVERS`, a list with commas; undefined when it is not set. */
export function dnsServers(env: Readonly<Record<string, string | undefined>>): string[] | undefined {
  const listed = (env["DNS_SERVERS"] ?? "").split(",").map((server) => server.trim());
  const servers = listed.filter((server) => server !== "");
  return servers.length > 0 ? servers : undefined;
}

/** The DNS name that says who publishes an NSID: `a.b.c.name` → `_lexicon.c.b.a` (sync-and-xrpc §1.6). */
export function authorityName(nsid: string): string {
  const shown = nsid.slice(0, 320);
  const segments = nsid.split(".");
  if (segments.length < 2) throw new HttpError(400, `invalid NSID (too few segments): ${shown}`);
  if (!isValidNsid(nsid)) throw new HttpError(400, `invalid NSID: ${shown}`);
  return `_lexicon.${segments.slice(0, -1).toReversed().join(".")}`;
}

/** The DID of an NSID's authority: of the first TXT string that begins `did=`, with or without quotes that were pasted in. */
export async function resolveAuthority(nsid: string, lookup: TxtLookup = createTxtLookup()): Promise<string> {
  const name = authorityName(nsid);
  let records: string[][];
  try {
    records = await lookup(name);
  } catch (error) {
    throw new HttpError(400, `DNS TXT lookup failed for ${name}: ${explain(error)}`);
  }
  const texts = records.flat().map((text) => text.trim().replace(/^"(.*)"$/, "$1"));
  const found = texts.find((text) => text.startsWith("did="));
  if (found === undefined) throw new HttpError(400, `no did= TXT record found at ${name}`);
  const did = found.slice("did=".length).trim();
  if (!isValidDid(did)) throw new HttpError(400, `the did= TXT record at ${name} names no DID`);
  return did;
}
