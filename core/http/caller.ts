import { timingSafeEqual } from "node:crypto";
import { HttpError } from "../errors.ts";
import type { HttpRequest } from "./request.ts";

/** Who makes a request, as far as a credential says. */
export interface Caller {
  /** The account, null for anonymous callers and keys that stand for no account. */
  did: string | null;
  /** The API client in whose name the request comes. */
  clientKey: string | null;
  /** Admin permissions; "all" for the instance's own key. */
  permissions: ReadonlySet<string> | "all";
  /** The session by which the caller proved who it is, for plugins that keep sessions. */
  sessionId?: string;
}

export const anonymous: Caller = Object.freeze({
  did: null,
  clientKey: null,
  permissions: new Set<string>(),
});

/** Recognises one kind of credential: a caller, undefined for "not mine", or an HttpError for "mine, and wrong". */
export type CallerStrategy = (request: HttpRequest) => Promise<Caller | undefined> | Caller | undefined;

export interface Callers {
  /** Credentials for /admin, tried in order of registration before the instance key. */
  admin: CallerStrategy[];
  /** Credentials for /xrpc: DPoP sessions and what else a plugin brings. */
  xrpc: CallerStrategy[];
}

/** The caller of an admin route, or the 401 that HappyView gives (admin-api §1.1). */
export async function identifyAdmin(
  request: HttpRequest,
  callers: Callers,
  adminKey: string | undefined,
): Promise<Caller> {
  for (const strategy of callers.admin) {
    const caller = await strategy(request);
    if (caller) return caller;
  }
  const header = request.headers.get("authorization");
  if (header === null) throw new HttpError(401, "missing Authorization header or session cookie");
  const [scheme, token = ""] = header.split(" ", 2);
  if (scheme !== "Bearer" && scheme !== "DPoP") throw new HttpError(401, "invalid Authorization scheme");
  if (adminKey !== undefined && sameSecret(token, adminKey))
    return { did: null, clientKey: null, permissions: "all" };
  if (token.startsWith("hv_")) throw new HttpError(401, "invalid or revoked API key");
  throw new HttpError(401, "invalid JWT structure");
}

export function isAllowed({ permissions }: Caller, permission: string): boolean {
  return permissions === "all" || permissions.has(permission);
}

export function permissionDenied(permission: string): HttpError {
  return new HttpError(403, {
    error: "InsufficientPermissions",
    message: `Missing permission: ${permission}`,
  });
}

/**
 * The caller of an XRPC request (sync-and-xrpc §4.2, 4.3). A credential that fails is never downgraded to anonymous.
 * A key that nobody registered is treated as anonymous: any string could be one.
 */
export async function identifyXrpc(request: HttpRequest, callers: Callers): Promise<Caller> {
  for (const strategy of callers.xrpc) {
    const caller = await strategy(request);
    if (caller) return caller;
  }
  const header = request.headers.get("authorization");
  if (header === null) return anonymous;
  const scheme = header.split(" ", 1)[0];
  if (scheme === "Bearer")
    throw new HttpError(
      401,
      "XRPC routes do not accept Bearer auth. Use DPoP auth, a space credential, or omit the Authorization header for anonymous access.",
    );
  if (scheme !== "DPoP") throw new HttpError(401, "invalid Authorization scheme");
  if (request.headers.get("x-client-key") === null)
    throw new HttpError(401, "DPoP auth requires X-Client-Key header");
  if (request.headers.get("dpop") === null) throw new HttpError(401, "DPoP auth requires DPoP header");
  throw new HttpError(401, "unknown client");
}

function sameSecret(given: string, expected: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
