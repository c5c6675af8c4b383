import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { HttpRequest } from "../../core/http/request.ts";
import { cookieAttributes, cookieOf, type CookieParts } from "./cookies.ts";

/**
 * In which browser a sign-in was begun. Without it, the way back of a stranger's sign-in could be sent to somebody as a
 * link, and would sign that browser in as the stranger.
 */
export interface Browsers {
  /** The value of a `Set-Cookie` header, and what to keep with the sign-in. */
  mark(request: HttpRequest): { cookie: string; hash: string };
  /** Whether the request comes from the browser of which `hash` was kept. */
  isSame(request: HttpRequest, hash: string): boolean;
}

const cookieName = "happyview_login";

export function createBrowsers(parts: CookieParts & { lifetimeMs: number }): Browsers {
  const attributes = `${cookieAttributes(parts)}; Max-Age=${Math.ceil(parts.lifetimeMs / 1000)}`;
  const hashOf = (nonce: string): string => createHash("sha256").update(nonce).digest("hex");
  const nonceOf = (request: HttpRequest): string | undefined => {
    const nonce = cookieOf(request, cookieName);
    return nonce !== undefined && /^[\w-]{43}$/.test(nonce) ? nonce : undefined;
  };

  return {
    mark(request) {
      // One nonce for a browser: a sign-in in a second tab must not end that of the first.
      const nonce = nonceOf(request) ?? randomBytes(32).toString("base64url");
      return { cookie: `${cookieName}=${nonce}; ${attributes}`, hash: hashOf(nonce) };
    },
    isSame(request, hash) {
      const nonce = nonceOf(request);
      if (nonce === undefined) return false;
      const given = Buffer.from(hashOf(nonce));
      const expected = Buffer.from(hash);
      return given.length === expected.length && timingSafeEqual(given, expected);
    },
  };
}
