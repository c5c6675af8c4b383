import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { parseDidKey, verifySignature } from "@atproto/crypto";

const verifyElsewhere = promisify(verify);

/** The curves of AT Protocol, with half of their order: a signature whose second half is above it is malleable. */
const curves: Readonly<Record<string, { name: string; half: Buffer }>> = {
  ES256K: {
    name: "secp256k1",
    half: Buffer.from("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", "hex"),
  },
  ES256: {
    name: "P-256",
    half: Buffer.from("7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8", "hex"),
  },
};

interface FastKey {
  key: KeyObject;
  half: Buffer;
}

const maxKeys = 200;
const keys = new Map<string, FastKey | undefined>();

/**
 * True when the did:key signed these bytes. Node's own arithmetic is asked first: it runs on other threads and is
 * several times as fast, which a labeler's history of millions needs. Whatever it does not accept, or cannot do on
 * this runtime, `@atproto/crypto` decides.
 */
export async function isSignature(didKey: string, bytes: Uint8Array, sig: Uint8Array): Promise<boolean> {
  try {
    return (await isFastSignature(didKey, bytes, sig)) || (await verifySignature(didKey, bytes, sig));
  } catch {
    return false; // a key or a signature of another form
  }
}

async function isFastSignature(didKey: string, bytes: Uint8Array, sig: Uint8Array): Promise<boolean> {
  const fast = keyOf(didKey);
  if (!fast || sig.length !== 64 || fast.half.compare(sig, 32) < 0) return false;
  return verifyElsewhere("sha256", bytes, { key: fast.key, dsaEncoding: "ieee-p1363" }, sig);
}

function keyOf(didKey: string): FastKey | undefined {
  if (keys.has(didKey)) return keys.get(didKey);
  if (keys.size >= maxKeys) keys.clear();
  const key = importKey(didKey);
  keys.set(didKey, key);
  return key;
}

function importKey(didKey: string): FastKey | undefined {
  try {
    const { jwtAlg, keyBytes } = parseDidKey(didKey);
    const curve = curves[jwtAlg];
    if (!curve || keyBytes.length !== 65) return undefined;
    const [x, y] = [keyBytes.subarray(1, 33), keyBytes.subarray(33)];
    const text = (part: Uint8Array): string => Buffer.from(part).toString("base64url");
    const jwk = { kty: "EC", crv: curve.name, x: text(x), y: text(y) };
    return { key: createPublicKey({ format: "jwk", key: jwk }), half: curve.half };
  } catch {
    return undefined; // not every runtime knows every curve
  }
}
