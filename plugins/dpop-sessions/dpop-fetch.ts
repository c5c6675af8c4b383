import { randomUUID } from "node:crypto";
import { importJWK, SignJWT, type JWK } from "jose";
import type { OutgoingFetch } from "../../core/http/outgoing.ts";
import { hashToken } from "./proof.ts";

export interface DpopRequest {
  method: "GET" | "POST";
  url: string;
  /** Private key of the session. */
  jwk: JWK;
  /** Left out towards a token endpoint. */
  accessToken?: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array<ArrayBuffer>;
  /** Goes by the fetch for uploads, which waits longer. */
  isUpload?: boolean;
}

export interface DpopAnswer {
  status: number;
  headers: Headers;
  /** As it came; the fetch bounds its size. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The same as text. */
  readonly body: string;
}

/** The other server gave no answer: no connection, no time left, too much of an answer. */
export class UnreachableError extends Error {
  constructor(origin: string, cause: unknown) {
    super(`${origin} cannot be reached`, { cause });
    this.name = "UnreachableError";
  }
}

/** Requests to PDSes and authorization servers with a proof of possession (RFC 9449). @throws UnreachableError */
export type DpopFetch = (request: DpopRequest) => Promise<DpopAnswer>;

const maxTries = 3;
const maxNonces = 10_000;

/**
 * The nonce of a server is remembered, and used anew when the server asks for it: never because an answer merely carries
 * one, or a refused write would be sent twice.
 */
export function createDpopFetch(
  fetch: OutgoingFetch,
  now: () => number,
  fetchUpload: OutgoingFetch = fetch,
): DpopFetch {
  const nonces = new Map<string, string>();

  async function send(request: DpopRequest): Promise<DpopAnswer> {
    const { method, url, jwk, accessToken, body } = request;
    const origin = new URL(url).origin;
    const proof = await createProof({ method, url, jwk, accessToken, nonce: nonces.get(origin), now: now() });
    const { response, bytes } = await fetchWhole(request.isUpload === true ? fetchUpload : fetch, url, {
      method,
      redirect: "error",
      headers: {
        ...request.headers,
        dpop: proof,
        ...(accessToken === undefined ? {} : { authorization: `DPoP ${accessToken}` }),
      },
      ...(body === undefined ? {} : { body }),
    });
    const nonce = response.headers.get("dpop-nonce");
    if (nonce !== null) {
      if (nonces.size >= maxNonces) nonces.clear();
      nonces.set(origin, nonce);
    }
    return {
      status: response.status,
      headers: response.headers,
      bytes,
      get body() {
        return new TextDecoder().decode(bytes);
      },
    };
  }

  return async (request) => {
    const origin = new URL(request.url).origin;
    let answer: DpopAnswer;
    for (let tries = 1; ; tries++) {
      const used = nonces.get(origin);
      answer = await send(request);
      const isNew = nonces.get(origin) !== used;
      if (!isNew || tries >= maxTries || !wantsNonce(answer)) return answer;
    }
  };
}

async function fetchWhole(
  fetch: OutgoingFetch,
  url: string,
  init: RequestInit,
): Promise<{ response: Response; bytes: Uint8Array<ArrayBuffer> }> {
  try {
    const response = await fetch(url, init);
    return { response, bytes: new Uint8Array(await response.arrayBuffer()) };
  } catch (cause) {
    throw new UnreachableError(new URL(url).origin, cause);
  }
}

/** `use_dpop_nonce` in the body or in `WWW-Authenticate`, or a 401 that names no error at all (auth §5.2). */
function wantsNonce({ status, headers, body }: DpopAnswer): boolean {
  if (status !== 400 && status !== 401) return false;
  const challenge = headers.get("www-authenticate") ?? "";
  const error = errorOf(body);
  if (error === "use_dpop_nonce" || challenge.includes("use_dpop_nonce")) return true;
  return status === 401 && error === "" && !challenge.includes("error=") && headers.has("dpop-nonce");
}

/** The `error` of a JSON answer, "" without one: a name, never what a hostile server writes in its place. */
export function errorOf(body: string): string {
  try {
    const value: unknown = JSON.parse(body);
    const error = typeof value === "object" && value !== null && "error" in value ? value.error : "";
    return typeof error === "string" && /^[\w.-]{1,128}$/.test(error) ? error : "";
  } catch {
    return "";
  }
}

async function createProof(parts: {
  method: string;
  url: string;
  jwk: JWK;
  accessToken: string | undefined;
  nonce: string | undefined;
  now: number;
}): Promise<string> {
  const { kty, crv, x, y } = parts.jwk;
  const { origin, pathname } = new URL(parts.url);
  return new SignJWT({
    htm: parts.method,
    htu: origin + pathname,
    jti: randomUUID(),
    ...(parts.accessToken === undefined ? {} : { ath: hashToken(parts.accessToken) }),
    ...(parts.nonce === undefined ? {} : { nonce: parts.nonce }),
  })
    .setIssuedAt(Math.floor(parts.now / 1000))
    .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: { kty, crv, x, y } as JWK })
    .sign(await importJWK(parts.jwk, "ES256"));
}
