import { isValidNsid } from "@atproto/syntax";
import { z } from "zod";
import { explain, HttpError } from "../errors.ts";
import type { Events } from "../events.ts";
import type { AdminRoutes } from "../http/admin.ts";
import type { OutgoingFetch } from "../http/outgoing.ts";
import { reply, type Reply } from "../http/reply.ts";
import { resolveAuthority, type TxtLookup } from "../identity/authority.ts";
import type { IdentityResolver } from "../identity/resolve.ts";
import type { Settings } from "../settings.ts";
import type { XrpcFallback } from "./dispatch.ts";
import { allows, checkPolicy, parsePolicy, resolvePolicy } from "./proxy-policy.ts";

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
  /** The `settings` of the config. */
  configured?: Readonly<Record<string, string>>;
}

/** What apps write records with: documented to reach the caller's PDS, whatever happens to other NSIDs (auth §5.3). */
const repoWrites = new Set(
  ["createRecord", "putRecord", "deleteRecord", "applyWrites"].map((name) => `com.atproto.repo.${name}`),
);

/**
 * Forwards an unknown NSID to the PDS of its authority, without credentials or client headers; or, where the policy says
 * so, to the caller's own PDS with the caller's session (sync-and-xrpc §4.9).
 */
export function createProxy({ settings, identity, fetch, lookup, configured }: ProxyParts): XrpcFallback {
  settings.define({ key: setting });
  checkPolicy(configured?.[setting]);
  return async (call, ownPds) => {
    const { nsid, type, query, input, caller, nesting = 0 } = call;
    if (ownPds && type === "procedure" && repoWrites.has(nsid)) return asStranger(await ownPds(call));
    const policy = parsePolicy(settings.get(setting));
    // The policy is about what strangers may have forwarded; a call from within was written by the operator.
    if (nesting === 0 && !allows(policy, nsid)) throw new HttpError(403, "NSID not allowed by proxy policy");
    // The NSID becomes a path of somebody's server: nothing but an NSID may.
    if (!isValidNsid(nsid)) throw new HttpError(400, `'${nsid.slice(0, 320)}' is not an NSID`);
    // A script that runs for nobody has no PDS of its own.
    if (policy.routing === "serviceproxy" && (nesting === 0 || caller.did !== null)) {
      if (!ownPds)
        throw new HttpError(
          501,
          "no plugin of this instance holds sessions, which routing by service proxy needs",
        );
      return asStranger(await ownPds(call));
    }
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

function asStranger({ status, body, headers }: Reply): Reply {
  return reply(status, body, { ...headers, ...untrusted });
}

/** `GET|PUT /admin/settings/xrpc-proxy` (admin-api §2.13). */
export function proxyAdmin(admin: AdminRoutes, settings: Settings, events: Events): void {
  const body = z.object({
    mode: z.enum(["disabled", "open", "allowlist", "blocklist"]),
    nsids: z.array(z.string()),
    routing: z.enum(["authority", "serviceproxy"]).optional(),
  });
  admin.route("GET /settings/xrpc-proxy", { permission: "settings:manage" }, () =>
    parsePolicy(settings.get(setting)),
  );
  admin.route(
    "PUT /settings/xrpc-proxy",
    { permission: "settings:manage", body },
    async ({ body: given, caller }) => {
      const policy = resolvePolicy(given.mode, given.nsids, given.routing);
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
