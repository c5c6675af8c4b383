import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { PluginApp } from "../../core/index.ts";
import type { HttpRequest } from "../../core/http/request.ts";
import { cookieAttributes, cookieOf, type CookieParts } from "./cookies.ts";

export interface Login {
  did: string;
  csrfToken: string;
}

/** Who is signed in to the dashboard, by cookie; kept on the server, so that signing out ends it everywhere. */
export interface Logins {
  /** The value of a `Set-Cookie` header; what the browser was signed in as before ends. */
  begin(did: string, request: HttpRequest): Promise<string>;
  find(request: HttpRequest): Promise<Login | undefined>;
  /** Returns the header that takes the cookie away. */
  end(request: HttpRequest): Promise<string>;
  sweep(): Promise<void>;
}

const cookieName = "happyview_session";
const lifetimeMs = 14 * 24 * 60 * 60 * 1000;

export interface LoginParts extends Pick<PluginApp, "db" | "clock">, CookieParts {
  /** Signs cookies. */
  secret: string;
}

export function createLogins({ db, clock, secret, ...parts }: LoginParts): Logins {
  const attributes = cookieAttributes(parts);
  const sign = (id: string): string =>
    createHmac("sha256", secret).update(`${cookieName}:${id}`).digest("base64url");
  const hash = (id: string): string => createHash("sha256").update(id).digest("hex");

  function idOf(request: HttpRequest): string | undefined {
    const value = cookieOf(request, cookieName);
    const [id = "", signature = ""] = value?.split(".", 2) ?? [];
    const expected = Buffer.from(sign(id));
    const given = Buffer.from(signature);
    return id !== "" && given.length === expected.length && timingSafeEqual(given, expected) ? id : undefined;
  }

  async function forget(request: HttpRequest): Promise<void> {
    const id = idOf(request);
    if (id !== undefined) await db.run("DELETE FROM happyview_logins WHERE id_hash = ?", [hash(id)]);
  }

  return {
    async begin(did, request) {
      await forget(request);
      const id = randomBytes(32).toString("base64url");
      await db.run(
        "INSERT INTO happyview_logins (id_hash, did, csrf_token, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        [hash(id), did, randomBytes(24).toString("base64url"), clock.timestamp(), clock.now() + lifetimeMs],
      );
      return `${cookieName}=${id}.${sign(id)}; ${attributes}; Max-Age=${lifetimeMs / 1000}`;
    },
    async find(request) {
      const id = idOf(request);
      if (id === undefined) return undefined;
      const row = await db.get<{ did: string; csrf_token: string }>(
        "SELECT did, csrf_token FROM happyview_logins WHERE id_hash = ? AND expires_at > ?",
        [hash(id), clock.now()],
      );
      return row && { did: row.did, csrfToken: row.csrf_token };
    },
    async end(request) {
      await forget(request);
      return `${cookieName}=; ${attributes}; Max-Age=0`;
    },
    async sweep() {
      await db.run("DELETE FROM happyview_logins WHERE expires_at < ?", [clock.now()]);
      await db.run("DELETE FROM happyview_oauth_states WHERE expires_at < ?", [clock.now()]);
    },
  };
}

/**
 * Whether a request that changes something was meant by the page that shows it: it carries the token that only our own
 * pages can read, or the browser says that it comes from our own origin.
 */
export function isIntended({ headers, method }: HttpRequest, login: Login): boolean {
  if (method === "GET" || method === "HEAD") return true;
  const token = Buffer.from(headers.get("x-csrf-token") ?? "");
  const expected = Buffer.from(login.csrfToken);
  if (token.length === expected.length && timingSafeEqual(token, expected)) return true;
  return headers.get("sec-fetch-site") === "same-origin";
}
