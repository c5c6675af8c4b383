import { createHash } from "node:crypto";
import { calculateJwkThumbprint, compactVerify, importJWK, type JWK } from "jose";
import { z } from "zod";
import { HttpError } from "../../core/index.ts";

/** A proof as it was sent, not yet believed. */
export interface ParsedProof {
  jwt: string;
  jwk: JWK;
  thumbprint: string;
  header: { alg: string; typ: string };
  claims: { htm: string; htu: string; iat: number; jti: string; ath?: string | undefined };
}

export interface ExpectedProof {
  method: string;
  /** The URL as the client sees it, without query and fragment. */
  url: string;
  accessToken: string;
  /** Unix milliseconds. */
  now: number;
}

/** How long a proof is good for, and how far a client's clock may be ahead (auth §2, 13). */
export const maxAgeSeconds = 300;
const maxAheadSeconds = 30;

const maxProofLength = 8192;
const maxJtiLength = 256;

const headerSchema = z.object({
  alg: z.string(),
  typ: z.string(),
  jwk: z.looseObject({ kty: z.string(), crv: z.string(), x: z.string(), y: z.string() }),
});
const claimsSchema = z.object({
  htm: z.string(),
  htu: z.string(),
  iat: z.int(),
  jti: z.string().min(1).max(maxJtiLength),
  ath: z.string().optional(),
});

/** Reads the header, by whose key the session is found. @throws HttpError 401 */
export async function parseHeader(jwt: string): Promise<Pick<ParsedProof, "jwk" | "thumbprint" | "header">> {
  const text = decode(jwt.split(".", 1)[0] ?? "", "invalid DPoP proof header encoding");
  const { jwk, ...header } = parse(text, headerSchema, "invalid DPoP proof header");
  // Only what RFC 7638 hashes: published clients put more into the header (auth §7.1).
  const { kty, crv, x, y } = jwk;
  const key: JWK = { kty, crv, x, y };
  return { jwk: key, header, thumbprint: await thumbprintOf(key) };
}

/** RFC 7638, SHA-256. @throws HttpError 401 */
export async function thumbprintOf(jwk: JWK): Promise<string> {
  try {
    return await calculateJwkThumbprint(jwk, "sha256");
  } catch {
    throw refused("invalid DPoP proof header");
  }
}

/** Checks a proof in HappyView's order (auth §2, 6–16). @throws HttpError 401 */
export async function verifyProof(jwt: string, expected: ExpectedProof): Promise<ParsedProof> {
  if (jwt.length > maxProofLength || jwt.split(".").length !== 3) throw refused("invalid DPoP proof format");
  const { jwk, header, thumbprint } = await parseHeader(jwt);
  if (header.typ !== "dpop+jwt") throw refused("DPoP proof typ must be dpop+jwt");
  if (header.alg !== "ES256") throw refused("DPoP proof alg must be ES256");
  const text = decode(jwt.split(".")[1] ?? "", "invalid DPoP proof payload encoding");
  const claims = parse(text, claimsSchema, "invalid DPoP proof payload");
  if (claims.htm.toUpperCase() !== expected.method.toUpperCase()) throw refused("DPoP proof htm mismatch");
  if (claims.htu !== expected.url) throw refused("DPoP proof htu mismatch");
  const age = expected.now / 1000 - claims.iat;
  if (age > maxAgeSeconds) throw refused("DPoP proof expired");
  if (age < -maxAheadSeconds) throw refused("DPoP proof iat is in the future");
  if (claims.ath === undefined) throw refused("DPoP proof missing required ath claim");
  if (claims.ath !== hashToken(expected.accessToken)) throw refused("DPoP proof ath mismatch");
  await verifySignature(jwt, jwk);
  return { jwt, jwk, thumbprint, header, claims };
}

/** `ath`: base64url(SHA-256(access token)), RFC 9449 §4.2. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}

/** Only P-256, and a point on it; an S of either half, as browsers make both. */
async function verifySignature(jwt: string, jwk: JWK): Promise<void> {
  if (jwk.kty !== "EC" || jwk.crv !== "P-256") throw refused("invalid DPoP public key");
  const key = await importJWK(jwk, "ES256").catch(() => {
    throw refused("invalid DPoP public key");
  });
  await compactVerify(jwt, key, { algorithms: ["ES256"] }).catch(() => {
    throw refused("DPoP proof signature verification failed");
  });
}

function decode(segment: string, problem: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(segment)) throw refused(problem);
  return Buffer.from(segment, "base64url").toString("utf8");
}

function parse<Schema extends z.ZodType>(text: string, schema: Schema, problem: string): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw refused(problem);
  }
}

function refused(reason: string): HttpError {
  return new HttpError(401, reason);
}
