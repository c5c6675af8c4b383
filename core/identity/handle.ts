import { isValidDid, isValidHandle } from "@atproto/syntax";
import type { Config } from "../config/resolve.ts";
import { HappyViewError } from "../errors.ts";
import type { OutgoingFetch } from "../http/outgoing.ts";
import { createTxtLookup, dnsServers, type TxtLookup } from "./authority.ts";
import type { IdentityResolver } from "./resolve.ts";

export interface HandleParts {
  fetch: OutgoingFetch;
  identity: Pick<IdentityResolver, "resolve">;
  config: Pick<Config, "env">;
  /** @default at the servers of DNS_SERVERS, or those of the system */
  lookup?: TxtLookup;
}

const maxDidChars = 2048;

/**
 * The DID of a handle (handle spec): the DNS TXT record `_atproto.<handle>`, else `/.well-known/atproto-did` of that
 * host; believed only when the DID's document names the handle too.
 * @throws HappyViewError IDENTITY_UNRESOLVED
 */
export async function resolveHandle(handle: string, parts: HandleParts): Promise<string> {
  const name = handle.toLowerCase();
  if (!isValidHandle(name)) throw unresolved(handle, "it is not a handle");
  const lookup = parts.lookup ?? createTxtLookup({ servers: dnsServers(parts.config.env) });
  const did = (await fromDns(name, lookup)) ?? (await fromHttp(name, parts.fetch));
  if (did === undefined) throw unresolved(handle, "neither its DNS nor its host names a DID");
  const { handle: claimed } = await parts.identity.resolve(did);
  if (claimed?.toLowerCase() !== name)
    throw unresolved(handle, `the document of ${did} names another handle`);
  return did;
}

async function fromDns(handle: string, lookup: TxtLookup): Promise<string | undefined> {
  try {
    const texts = (await lookup(`_atproto.${handle}`)).map((chunks) => chunks.join(""));
    const dids = texts.filter((text) => text.startsWith("did=")).map((text) => text.slice("did=".length));
    return dids.length === 1 && isDid(dids[0]) ? dids[0] : undefined; // several contradict each other
  } catch {
    return undefined; // no record; the host may say
  }
}

async function fromHttp(handle: string, fetch: OutgoingFetch): Promise<string | undefined> {
  try {
    const response = await fetch(`https://${handle}/.well-known/atproto-did`, { redirect: "error" });
    const text = response.ok ? (await response.text()).trim() : "";
    return isDid(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

function isDid(text: string | undefined): text is string {
  return text !== undefined && text.length <= maxDidChars && isValidDid(text);
}

function unresolved(handle: string, reason: string): HappyViewError {
  return new HappyViewError("IDENTITY_UNRESOLVED", {
    message: `the handle ${handle.slice(0, 253)} cannot be resolved: ${reason}`,
    hint: "use the account's DID",
  });
}
