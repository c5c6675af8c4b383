import { reply, type Reply } from "./reply.ts";
import { localPath, splitUrl, type HttpRequest } from "./request.ts";

const allowed = {
  // PUT and PATCH are missing in the original; a dashboard on another origin needs them.
  methods: "GET, POST, PUT, PATCH, DELETE, OPTIONS",
  headers:
    "content-type, authorization, cookie, x-client-key, x-client-secret, x-csrf-token, dpop, atproto-accept-labelers, atproto-proxy",
  exposed:
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, Atproto-Repo-Rev, Atproto-Content-Labelers, X-HappyView-Session-Refreshed",
};

/** Where the dashboard's cookie opens something: pages of other origins ask there without it. */
const byCookie = /^\/(admin|auth)(\/|$)/;

export interface CorsParts {
  basePath: string;
  /** Whether an origin is one of the instance's own domains. */
  isOwn: (origin: string) => boolean;
}

export interface Cors {
  /** Nothing for a request without an origin. */
  headers(request: HttpRequest): Record<string, string>;
  preflight(request: HttpRequest): Reply;
}

/**
 * Any origin is mirrored, with credentials (sync-and-xrpc §4.8); under /admin and /auth it has to be ours for that, or
 * every page of a sibling domain could read there what an admin may see.
 */
export function createCors({ basePath, isOwn }: CorsParts): Cors {
  const takesCredentials = (origin: string, { url }: HttpRequest): boolean =>
    !byCookie.test(localPath(splitUrl(url).path, basePath) ?? "") || isOwn(origin);
  const headers = (request: HttpRequest): Record<string, string> => {
    const origin = request.headers.get("origin");
    if (origin === null) return {};
    return {
      "access-control-allow-origin": origin,
      ...(takesCredentials(origin, request) ? { "access-control-allow-credentials": "true" } : {}),
      "access-control-expose-headers": allowed.exposed,
      vary: "origin",
    };
  };
  return {
    headers,
    preflight: (request) =>
      reply(204, null, {
        ...headers(request),
        "access-control-allow-methods": allowed.methods,
        "access-control-allow-headers": allowed.headers,
        "access-control-max-age": "600",
      }),
  };
}
