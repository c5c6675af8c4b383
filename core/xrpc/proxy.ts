import { isValidNsid } from "@atproto/syntax";
import { z } from "zod";
import { explain, HttpError } from "../errors.ts";
import type { Events } from "../events.ts";
import type { AdminRoutes } from "../http/admin.ts";
import type { OutgoingFetch } from "../http/outgoing.ts";
import { reply } from "../http/reply.ts";
import { resolveAuthority, type TxtLookup } from "../identity/authority.ts";
import type { IdentityResolver } from "../identity/resolve.ts";
import type { Settings } from "../settings.ts";
import type { XrpcFallback } from "./dispatch.ts";
import { allows, parsePolicy, resolvePolicy } from "./proxy-policy.ts";

const setting = "xrpc_proxy_config";

/** What a stranger's server answers must not run as a page of ours. */
const untrusted = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "sandbox; default-src 'none'",
};

export interface ProxyParts {
  settings: Settings;
  identity: IdentityResolver;
  fetch: OutgoingFetch;
  lookup?: TxtLookup;
}

/** Forwards an unknown NSID to the PDS of its authority, without credentials or client headers (sync-and-xrpc §4.9). */
export function createProxy({ settings, identity, fetch, lookup }: ProxyParts): XrpcFallback {
  settings.define({ key: setting });
  return async ({ nsid, type, query, input, nesting = 0 }) => {
    // The policy is about what strangers may have forwarded; a call from within was written by the operator.
    if (nesting === 0 && !allows(parsePolicy(settings.get(setting)), nsid))
      throw new HttpError(403, "NSID not allowed by proxy policy");
    // The NSID becomes a path of somebody's server: nothing but an NSID may.
    if (!isValidNsid(nsid)) throw new HttpError(400, `'${nsid.slice(0, 320)}' is not an NSID`);
    const pds = await locate(nsid, identity, lookup);
    const url = `${pds}/xrpc/${nsid}${query ? `?${query}` : ""}`;
    try {
      const upstream = await fetch(url, {
        redirect: "error",
        method: type === "query" ? "GET" : "POST",
        ...(type === "procedure"
          ? { body: JSON.stringify(input), headers: { "content-type": "application/json" } }
          : {}),
      });
      const contentType = upstream.ok
        ? (upstream.headers.get("content-type") ?? "application/json")
        : "application/json";
      return reply(upstream.status, new Uint8Array(await upstream.arrayBuffer()), {
        ...untrusted,
        "content-type": contentType,
      });
    } catch (error) {
      throw new HttpError(502, `upstream request failed for ${nsid}: ${explain(error)}`);
    }
  };
}

/** `GET|PUT /admin/settings/xrpc-proxy` (admin-api §2.13). */
export function proxyAdmin(admin: AdminRoutes, settings: Settings, events: Events): void {
  const body = z.object({
    mode: z.enum(["disabled", "open", "allowlist", "blocklist"]),
    nsids: z.array(z.string()),
  });
  admin.route("GET /settings/xrpc-proxy", { permission: "settings:manage" }, () =>
    parsePolicy(settings.get(setting)),
  );
  admin.route(
    "PUT /settings/xrpc-proxy",
    { permission: "settings:manage", body },
    async ({ body: given, caller }) => {
      const policy = resolvePolicy(given.mode, given.nsids);
      await settings.put(setting, JSON.stringify(policy));
      events.emit({
        type: "setting.updated",
        actor: caller.did,
        subject: setting,
        detail: { value: JSON.stringify(policy) },
      });
    },
  );
}

async function locate(
  nsid: string,
  identity: IdentityResolver,
  lookup: TxtLookup | undefined,
): Promise<string> {
  try {
    return await identity.pds(await resolveAuthority(nsid, lookup));
  } catch (error) {
    throw new HttpError(502, `failed to resolve authority for ${nsid}: ${explain(error)}`);
  }
}
