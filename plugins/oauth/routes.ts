import { explain } from "../../core/errors.ts";
import { baseOf } from "../../core/http/public.ts";
import { hostOf } from "../../core/http/router.ts";
import { HttpError, json, redirect, reply, text, type PluginApp } from "../../core/index.ts";
import type { HttpRequest } from "../../core/http/request.ts";
import type { UsersApi } from "../users/index.ts";
import type { Browsers } from "./browsers.ts";
import type { Clients } from "./client.ts";
import type { Logins } from "./logins.ts";

export interface RouteParts {
  app: Pick<PluginApp, "http" | "config" | "domains" | "log">;
  clients: Clients;
  browsers: Browsers;
  logins: Logins | undefined;
  users: Pick<UsersApi, "isUser" | "isEmpty">;
  scope: string;
}

/** What is kept of a sign-in until its way back. */
interface AppState {
  to: string;
  /** The hash of a nonce that the browser holds. */
  browser: string;
}

/** `/auth/*` and the metadata of our own OAuth client (auth §6). */
export function oauthRoutes({ app, clients, browsers, logins, users, scope }: RouteParts): void {
  const { config, domains } = app;
  const { route } = app.http;
  const domainOf = (request: HttpRequest): string => domains.urlOf(hostOf(request));
  const requireLogins = (): Logins => {
    if (logins) return logins;
    throw new HttpError(500, "signing in is off: SESSION_SECRET needs at least 32 characters");
  };

  /** Asked before the code is used: what another browser began leaves no session behind, and is as good as unknown. */
  async function begunHere(request: HttpRequest, key: string | null): Promise<AppState> {
    const stored = key === null ? undefined : await clients.begun(key);
    const state = JSON.parse(stored ?? "{}") as Partial<AppState>; // written by /auth/login alone
    const { to = "", browser = "" } = state;
    if (browsers.isSame(request, browser)) return { to, browser };
    throw new Error("unknown authorization session");
  }

  route("GET /oauth-client-metadata.json", ({ request }) => clients.metadata(domainOf(request)));

  route("GET /auth/login", async ({ request, query }) => {
    requireLogins();
    const params = new URLSearchParams(query);
    const handle = params.get("handle");
    if (!handle) throw new HttpError(400, "handle is missing: a handle or DID");
    const { cookie, hash } = browsers.mark(request);
    const state: AppState = { to: ownUrl(params.get("redirect_uri"), app), browser: hash };
    try {
      const client = await clients.of(domainOf(request));
      const url = await client.authorize(handle, { scope, state: JSON.stringify(state) });
      return json({ url: url.toString() }, 200, { "set-cookie": cookie, "cache-control": "no-store" });
    } catch (error) {
      app.log.warn("a sign-in could not begin", { error: explain(error) });
      throw new HttpError(500, `OAuth authorize failed: ${messageOf(error)}`);
    }
  });

  route("GET /auth/callback", async ({ request, query }) => {
    const open = requireLogins();
    const params = new URLSearchParams(query);
    if (!params.has("code") && !params.has("error"))
      return text("Failed to deserialize query string: missing field `code`", 400);
    const domain = domainOf(request);
    const base = baseOf(domain, config);
    if (params.has("error"))
      return redirect(`${base}/login?error=${encodeURIComponent(params.get("error") ?? "")}`);
    try {
      const client = await clients.of(domain);
      const { to } = await begunHere(request, params.get("state"));
      const { session } = await client.callback(params);
      if (!(await users.isEmpty()) && !(await users.isUser(session.did))) {
        await session.signOut().catch(() => {}); // nobody will use it
        return redirect(`${base}/login?error=not_authorized`);
      }
      return reply(303, null, {
        location: to || `${base}/dashboard/`,
        "set-cookie": await open.begin(session.did, request),
      });
    } catch (error) {
      app.log.warn("a sign-in failed", { error: explain(error) });
      throw new HttpError(500, `OAuth callback failed: ${messageOf(error)}`);
    }
  });

  route("POST /auth/logout", async ({ request }) => {
    const login = await logins?.find(request);
    if (login) {
      const client = await clients.of(domainOf(request));
      await client
        .revoke(login.did)
        .catch((error) =>
          app.log.warn("a session could not be revoked at its PDS", { error: explain(error) }),
        );
    }
    return reply(200, null, logins ? { "set-cookie": await logins.end(request) } : {});
  });

  route("GET /auth/me", async ({ request }) => {
    const login = await logins?.find(request);
    if (!login) throw new HttpError(401, "not authenticated");
    return json(
      { did: login.did, is_admin: await users.isUser(login.did), csrf_token: login.csrfToken },
      200,
      { "cache-control": "no-store" },
    );
  });
}

/** Only pages of this instance are led back to: everybody can write a link to `/auth/login`. */
function ownUrl(given: string | null, { domains, config }: Pick<PluginApp, "domains" | "config">): string {
  if (!given) return "";
  const base = domains.primary();
  if (!URL.canParse(given, base)) throw new HttpError(400, "redirect_uri is not a URL");
  const url = new URL(given, base);
  if (!domains.list().some((domain) => domain.url === url.origin))
    throw new HttpError(400, "redirect_uri must lead to a domain of this instance");
  if (!`${url.pathname}/`.startsWith(`${config.server.basePath}/`))
    throw new HttpError(400, "redirect_uri must lead to a page of this instance");
  return url.href;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : "unknown";
}
