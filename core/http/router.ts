import { addRoute, createRouter as createTable, findRoute } from "rou3";
import { explain, HappyViewError, isHttpError, Rejection } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createCors, type CorsParts } from "./cors.ts";
import type { Hosts } from "./hosts.ts";
import { errorReply, html, reply, toReply, type Reply } from "./reply.ts";
import { localPath, splitUrl, type HttpRequest } from "./request.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
export type RoutePattern = `${Method} /${string}`;

export interface RouteContext {
  request: HttpRequest;
  params: Readonly<Record<string, string>>;
  /** The raw query string; `URLSearchParams` for most, sync-and-xrpc §4.4 for XRPC. */
  query: string;
}

/** Its result: a Reply, nothing (204), or a value (JSON). */
export type Handler = (context: RouteContext) => unknown;

export interface RouteOptions {
  /** Answers for every Host; other routes only for the domains of the instance (sync-and-xrpc §6.1). @default false */
  anyHost?: boolean;
  /** Stays at the root when the instance has a base path. @default false */
  atRoot?: boolean;
}

export interface Router {
  route(pattern: RoutePattern, handler: Handler, options?: RouteOptions): void;
  handle(request: HttpRequest): Promise<Reply>;
  /** All patterns, for `GET /admin/manifest` and the docs. */
  list(): string[];
}

interface Route {
  handler: Handler;
  options: RouteOptions;
}

/** The way of a request: CORS, base path, host, route, answer. */
export function createRouter({
  basePath,
  hosts,
  isOwn,
  log,
}: CorsParts & {
  hosts: Hosts;
  log: Logger;
}): Router {
  const cors = createCors({ basePath, isOwn });
  const table = createTable<Route>();
  const known = new Map<string, Set<string>>();
  const paths = createTable<string>();

  async function answer(request: HttpRequest): Promise<Reply> {
    const { path, query } = splitUrl(request.url);
    const local = localPath(path, basePath);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const match = findRoute(table, method, path, { params: true });
    const atRoot = match?.data.options.atRoot === true;
    const found = atRoot
      ? match
      : local === undefined
        ? undefined
        : findRoute(table, method, local, { params: true });
    if (!found) return missing(request, local);
    if (found.data.options.atRoot && !atRoot) return html(notFoundPage, 404); // it did not move under the base path
    if (!found.data.options.anyHost && !hosts.has(hostOf(request))) throw new Rejection(421, "Unknown host");
    return toReply(await found.data.handler({ request, params: decoded(found.params), query }));
  }

  function missing(request: HttpRequest, local: string | undefined): Reply {
    const path = local === undefined ? undefined : findRoute(paths, "", local);
    const methods = path === undefined ? undefined : known.get(path.data);
    if (methods) {
      const allow = [...methods].join(", ");
      throw new Rejection(405, "Method Not Allowed", { allow });
    }
    if (local?.startsWith("/admin/") || local?.startsWith("/xrpc/")) throw new Rejection(404, "Not Found");
    if (local !== undefined && isDomainScoped(local) && !hosts.has(hostOf(request)))
      throw new Rejection(421, "Unknown host");
    return html(notFoundPage, 404);
  }

  return {
    route(pattern, handler, options = {}) {
      const [method, path] = pattern.split(" ", 2) as [Method, string]; // the pattern's type says so
      const methods = known.get(path) ?? new Set();
      if (methods.has(method))
        throw new HappyViewError("CONTRIBUTION_DUPLICATE", {
          message: `two owners contribute the route ${pattern}`,
          hint: "remove one of the plugins from the config",
        });
      if (!known.has(path)) addRoute(paths, "", path, path);
      known.set(path, methods.add(method));
      addRoute(table, method, path, { handler, options });
    },
    async handle(request) {
      if (request.method === "OPTIONS") return cors.preflight(request);
      const added = cors.headers(request);
      try {
        const found = await answer(request);
        const result = request.method === "HEAD" ? reply(found.status, null, found.headers) : found;
        return request.headers.get("origin") === null ? result : withHeaders(result, added);
      } catch (error) {
        if (!isHttpError(error))
          log.error("a request failed", {
            method: request.method,
            path: splitUrl(request.url).path,
            error: explain(error),
          });
        return withHeaders(errorReply(error), added);
      }
    },
    list: () => [...known].flatMap(([path, methods]) => [...methods].map((method) => `${method} ${path}`)),
  };
}

const notFoundPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Not found</title>
<h1>Nothing is served here</h1><p>Queries are under <code>/xrpc/</code>, health is at <a href="/health">/health</a>.</p></html>`;

/** Paths that belong to a domain even where no plugin serves them yet. */
function isDomainScoped(path: string): boolean {
  return /^\/(oauth|auth|config|settings|external-auth|\.well-known)(\/|$)|^\/oauth-client-metadata\.json$/.test(
    path,
  );
}

/** The name of the host that a request is for, without its port (sync-and-xrpc §6.1). */
export function hostOf(request: HttpRequest): string {
  // A web Request made by a program has no host header; its URL says where it goes.
  const host =
    request.headers.get("x-forwarded-host") ??
    request.headers.get("host") ??
    /^https?:\/\/([^/?#]+)/i.exec(request.url)?.[1] ??
    "";
  return (
    host.startsWith("[") ? host.slice(0, host.indexOf("]") + 1) : (host.split(":", 1)[0] ?? "")
  ).toLowerCase();
}

function decoded(params: Record<string, string> | undefined): Record<string, string> {
  if (!params) return {};
  try {
    return Object.fromEntries(Object.entries(params).map(([key, value]) => [key, decodeURIComponent(value)]));
  } catch {
    throw new Rejection(400, "Invalid URL: a % is not followed by two hexadecimal digits");
  }
}

function withHeaders(made: Reply, headers: Record<string, string>): Reply {
  return reply(made.status, made.body, { ...made.headers, ...headers }); // a handler may give one Reply again and again
}
