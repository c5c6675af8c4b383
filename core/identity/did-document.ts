import { getDidKeyFromMultibase } from "@atproto/identity";
import { HappyViewError } from "../errors.ts";

export interface Identity {
  did: string;
  /** The first at:// alias; not verified against DNS. */
  handle: string | null;
  /** The key of `#atproto` as a did:key. */
  signingKey: string | null;
  /** Keys by fragment, as did:keys: `atproto` and `atproto_label`, no others. */
  keys: Readonly<Record<string, string>>;
  /** Endpoints by fragment: `atproto_pds` and `atproto_labeler`, no others. */
  services: Readonly<Record<string, string>>;
}

/**
 * A document is written by a stranger and kept in memory, beside thousands of others: what nobody asks for is left out,
 * and these are far above what any account needs. Together they stay below ten kilobytes.
 */
const keptServices = new Set(["atproto_pds", "atproto_labeler"]);
const keptKeys = new Set(["atproto", "atproto_label"]);
const maxDidChars = 2048;
const maxEndpointChars = 512;
const maxKeyChars = 256;
const maxHandleChars = 253;

/** Where the document of a DID lies; did:web with ports (`%3A`) and paths as its specification says. */
export function documentUrl(did: string, plcUrl: string): string {
  if (did.length > maxDidChars)
    throw new HappyViewError("IDENTITY_UNRESOLVED", {
      message: `${did.slice(0, 64)}… is too long for a DID`,
      hint: `AT Protocol allows ${maxDidChars} characters`,
    });
  if (did.startsWith("did:plc:"))
    return `${plcUrl.replace(/\/$/, "")}/${encodeURIComponent(did).replaceAll("%3A", ":")}`;
  const parts = did.startsWith("did:web:") ? did.slice("did:web:".length).split(":") : [];
  const [host, ...path] = parts.map((part) => decodeURIComponent(part));
  if (!host)
    throw new HappyViewError("IDENTITY_UNRESOLVED", {
      message: `${did} is of a DID method that AT Protocol does not use`,
      hint: "only did:plc and did:web can be resolved",
    });
  const scheme = /^(localhost|127\.0\.0\.1)(:|$)/.test(host) ? "http" : "https";
  return `${scheme}://${host}/${path.length > 0 ? `${path.map(encodeURIComponent).join("/")}/` : ".well-known/"}did.json`;
}

/** Reads what we use of a DID document. Service ids may be relative (`#atproto_pds`) or full (`did:…#atproto_pds`). */
export function parseDocument(did: string, document: unknown): Identity {
  const doc = asObject(document);
  if (doc["id"] !== did)
    throw new HappyViewError("IDENTITY_UNRESOLVED", {
      message: `the DID document of ${did} says that it is of ${JSON.stringify(doc["id"])}`,
      hint: "the host of the document is misconfigured; nothing of it was used",
    });
  const fragmentOf = (id: unknown): string | undefined => {
    if (typeof id !== "string") return undefined;
    if (id.startsWith("#")) return id.slice(1);
    return id.startsWith(`${did}#`) ? id.slice(did.length + 1) : undefined;
  };
  const services: Record<string, string> = {};
  for (const entry of asList(doc["service"])) {
    const fragment = fragmentOf(entry["id"]) ?? "";
    const endpoint = entry["serviceEndpoint"];
    if (keptServices.has(fragment) && isEndpoint(endpoint))
      services[fragment] ??= endpoint.replace(/\/$/, "");
  }
  const keys: Record<string, string> = {};
  for (const entry of asList(doc["verificationMethod"])) {
    const fragment = fragmentOf(entry["id"]) ?? "";
    const key = keptKeys.has(fragment) && !(fragment in keys) ? toDidKey(entry) : null;
    if (key) keys[fragment] = key;
  }
  const aliases = Array.isArray(doc["alsoKnownAs"]) ? doc["alsoKnownAs"] : [];
  const alias = aliases.find((a): a is string => typeof a === "string" && a.startsWith("at://"));
  return {
    did,
    handle: alias && alias.length <= "at://".length + maxHandleChars ? alias.slice("at://".length) : null,
    signingKey: keys["atproto"] ?? null,
    keys,
    services,
  };
}

/** Written as a URI is, of printable ASCII: other characters take up to six bytes each where they are kept. */
function isEndpoint(value: unknown): value is string {
  if (typeof value !== "string" || value.length > maxEndpointChars) return false;
  return /^[\x21-\x7e]+$/.test(value) && URL.canParse(value);
}

/** Multikey, and the older types whose multibase holds bare key bytes. */
function toDidKey(method: Record<string, unknown> | undefined): string | null {
  const { type, publicKeyMultibase } = method ?? {};
  if (typeof type !== "string" || typeof publicKeyMultibase !== "string") return null;
  if (publicKeyMultibase.length > maxKeyChars) return null;
  try {
    return getDidKeyFromMultibase({ type, publicKeyMultibase }) ?? null;
  } catch {
    return null; // a malformed key is no key
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function asList(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(asObject) : [];
}
