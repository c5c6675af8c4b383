import type { HttpRequest } from "./request.ts";
import { reply, type Reply } from "./reply.ts";

const allowed = {
  // PUT and PATCH are missing in the original; a dashboard on another origin needs them.
  methods: "GET, POST, PUT, PATCH, DELETE, OPTIONS",
  headers:
    "content-type, authorization, cookie, x-client-key, x-client-secret, dpop, atproto-accept-labelers, atproto-proxy",
  exposed:
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, Atproto-Repo-Rev, Atproto-Content-Labelers, X-HappyView-Session-Refreshed",
};

/** Any origin is mirrored, with credentials (sync-and-xrpc §4.8). Nothing is added for a request without an origin. */
export function corsHeaders(request: HttpRequest): Record<string, string> {
  const origin = request.headers.get("origin");
  if (origin === null) return {};
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": allowed.exposed,
    vary: "origin",
  };
}

export function preflight(request: HttpRequest): Reply {
  return reply(204, null, {
    ...corsHeaders(request),
    "access-control-allow-methods": allowed.methods,
    "access-control-allow-headers": allowed.headers,
    "access-control-max-age": "600",
  });
}
