import { HappyViewError, HttpError } from "../errors.ts";
import { isObject } from "../lexicons/document.ts";

/** Which unregistered NSIDs may be forwarded to their authority (sync-and-xrpc §4.9). */
export interface ProxyPolicy {
  mode: "disabled" | "open" | "allowlist" | "blocklist";
  nsids: string[];
  /** To whom: to the NSID's authority, where it is left out, or to the caller's own PDS with the caller's session. */
  routing?: "serviceproxy";
}

/** Checks patterns and empties the list where the mode has no use for it. */
export function resolvePolicy(
  mode: ProxyPolicy["mode"],
  nsids: readonly string[],
  routing?: "authority" | "serviceproxy",
): ProxyPolicy {
  const route = routing === "serviceproxy" ? { routing } : {};
  if (mode === "disabled" || mode === "open") return { mode, nsids: [], ...route };
  for (const pattern of nsids) checkPattern(pattern);
  return { mode, nsids: [...nsids], ...route };
}

/** A stored policy; anything unreadable is the default, open. */
export function parsePolicy(text: string | undefined): ProxyPolicy {
  return readPolicy(text) ?? { mode: "open", nsids: [] };
}

/**
 * The policy of a config, which must be readable: a typing error would open what was meant to be closed.
 * @throws HappyViewError CONFIG_INVALID
 */
export function checkPolicy(text: string | undefined): void {
  if (text === undefined) return;
  const policy = readPolicy(text);
  try {
    if (policy) return void resolvePolicy(policy.mode, policy.nsids);
  } catch (cause) {
    throw unreadable(cause);
  }
  throw unreadable();
}

function unreadable(cause?: unknown): HappyViewError {
  return new HappyViewError("CONFIG_INVALID", {
    message: "`settings.xrpc_proxy_config` is no proxy policy",
    hint: `use for example '{"mode":"disabled"}' or '{"mode":"allowlist","nsids":["com.example.*"]}'`,
    cause,
  });
}

function readPolicy(text: string | undefined): ProxyPolicy | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    const mode = isObject(value) ? value["mode"] : undefined;
    const nsids = isObject(value) && Array.isArray(value["nsids"]) ? value["nsids"].map(String) : [];
    const routing = isObject(value) ? value["routing"] : undefined;
    if (routing !== undefined && routing !== "authority" && routing !== "serviceproxy") return undefined;
    if (mode === "disabled" || mode === "open" || mode === "allowlist" || mode === "blocklist")
      return { mode, nsids, ...(routing === "serviceproxy" ? { routing } : {}) };
  } catch {
    // it is no JSON
  }
  return undefined;
}

export function allows({ mode, nsids }: ProxyPolicy, nsid: string): boolean {
  if (mode === "open" || mode === "disabled") return mode === "open";
  const listed = nsids.some((pattern) =>
    pattern.endsWith(".*") ? nsid.startsWith(pattern.slice(0, -1)) : nsid === pattern,
  );
  return listed === (mode === "allowlist");
}

function checkPattern(pattern: string): void {
  if (pattern === "") throw new HttpError(400, "NSID pattern must not be empty");
  const isWildcard = pattern.endsWith(".*");
  const segments = (isWildcard ? pattern.slice(0, -2) : pattern).split(".");
  if (segments.length < 2)
    throw new HttpError(400, `NSID pattern must have at least two segments: ${pattern}`);
  if (segments.includes("")) throw new HttpError(400, `NSID pattern has empty segment: ${pattern}`);
  if (!segments.every((segment) => /^[A-Za-z0-9-]+$/.test(segment)))
    throw new HttpError(400, `NSID segment contains invalid characters: ${pattern}`);
  if (!isWildcard && segments.length < 3)
    throw new HttpError(400, `Exact NSID must have at least three segments: ${pattern}`);
}
