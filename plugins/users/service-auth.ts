import { verifySignature } from "@atproto/crypto";
import { z } from "zod";
import { HttpError, type PluginApp } from "../../core/index.ts";
import type { Renew } from "./renewals.ts";

export interface ServiceAuthParts {
  identity: Pick<PluginApp["identity"], "resolve">;
  renew: Renew;
  /** What the DID is here; the document of one that is `refused` is not asked for. */
  admit: (did: string) => Promise<"user" | "stranger" | "refused">;
  /** Who a token must be for: this instance's DID, with or without a service fragment. */
  audience: string;
  /** The methods a token may name; one that names none is good for all. */
  methods: readonly string[];
  /** Unix milliseconds. */
  now: () => number;
}

const header = z.object({ alg: z.string(), typ: z.string().optional() });
const claims = z.object({
  iss: z.string(),
  aud: z.string(),
  exp: z.number(),
  lxm: z.string().optional(),
});

const forbiddenTypes = new Set(["at+jwt", "refresh+jwt", "dpop+jwt"]);

/**
 * The DID that signed an inter-service JWT (AT Protocol XRPC spec, inter-service authentication; admin-api §1.2). Unlike
 * HappyView 2.9 it must be meant for this instance and for what it is used for.
 * @throws HttpError 401, 400 for a DID of a method that AT Protocol does not use
 */
export async function verifyServiceAuth(jwt: string, parts: ServiceAuthParts): Promise<string> {
  const segments = jwt.split(".");
  const [head = "", body = "", signature = ""] = segments;
  if (segments.length !== 3) throw refused("invalid JWT structure");
  const { alg, typ } = decode(head, header, "invalid JWT header");
  const { iss, aud, exp, lxm } = decode(body, claims, "invalid JWT payload");
  if (typ !== undefined && forbiddenTypes.has(typ.toLowerCase())) throw refused("forbidden JWT typ");
  if (alg !== "ES256" && alg !== "ES256K") throw refused("unsupported JWT algorithm");
  if (exp * 1000 <= parts.now()) throw refused("JWT expired");
  if (aud.split("#", 1)[0] !== parts.audience) throw refused(`JWT audience is not ${parts.audience}`);
  if (lxm !== undefined && !parts.methods.includes(lxm)) throw refused("JWT is for another method");
  const did = iss.split("#", 1)[0] ?? iss;
  if (!/^did:(plc|web):/.test(did)) throw new HttpError(400, `unsupported DID method: ${did.slice(0, 2048)}`);
  const failed = "JWT signature verification failed";
  const who = await parts.admit(did);
  if (who === "refused") throw refused(failed);
  const signed = Buffer.from(`${head}.${body}`);
  const bytes = Buffer.from(signature, "base64url");
  if (await isSignedBy(did, signed, bytes, alg, parts)) return did;
  if (who === "stranger") throw refused(failed);
  // The key may have changed since its document was cached.
  await parts.renew(did);
  if (await isSignedBy(did, signed, bytes, alg, parts)) return did;
  throw refused(failed);
}

async function isSignedBy(
  did: string,
  signed: Buffer,
  signature: Buffer,
  jwtAlg: string,
  { identity }: Pick<ServiceAuthParts, "identity">,
): Promise<boolean> {
  const { signingKey } = await identity.resolve(did);
  if (!signingKey) return false;
  try {
    return await verifySignature(signingKey, signed, signature, { jwtAlg, allowMalleableSig: true });
  } catch {
    return false; // a signature or key of another form
  }
}

function decode<Schema extends z.ZodType>(segment: string, schema: Schema, problem: string): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(Buffer.from(segment, "base64url").toString("utf8")));
  } catch {
    throw refused(problem);
  }
}

function refused(reason: string): HttpError {
  return new HttpError(401, reason);
}
