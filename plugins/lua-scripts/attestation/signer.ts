import { verifySignature, type Keypair } from "@atproto/crypto";
import { isObject } from "../../../core/lexicons/document.ts";
import { fromBase64, signedCid } from "./content.ts";

/** Signs records as they are, so that anybody can check that this instance has seen them (lua §4.6). */
export interface Signer {
  /** Names the key in signatures: `did:web:example.com#attestation`. */
  readonly keyId: string;
  /** The key itself, as a did:key. */
  readonly publicKey: string;
  /**
   * @param record JSON text; its `signatures` are not part of what is signed
   * @throws Error for what is no JSON object
   */
  sign(record: string, repository: string): Promise<InlineSignature>;
  /** Whether this instance has signed the record. @throws Error for a signature or a record that is none */
  verify(record: string, signature: unknown, repository: string): Promise<boolean>;
}

export interface InlineSignature {
  $type: string;
  key: string;
  signature: { $bytes: string };
}

/** What HappyView calls a key of ATTESTATION_PRIVATE_KEY that has no ATTESTATION_KEY_ID (admin-api §4). */
const unnamedKey = "did:web:localhost#attestation";
const signatureBytes = 64;

export function createSigner(
  keypair: Pick<Keypair, "sign" | "did">,
  { keyId, type }: { keyId: string; type: string },
): Signer {
  const publicKey = keypair.did();
  return {
    keyId,
    publicKey,
    async sign(record, repository) {
      // In HappyView's order: what it has signed and what is signed here are checked alike.
      const bytes = await keypair.sign(signedCid(record, { type, repository }, "lexicographic"));
      return {
        $type: type,
        key: keyId,
        signature: { $bytes: Buffer.from(bytes).toString("base64") },
      };
    },
    async verify(record, signature, repository) {
      const key = isObject(signature) ? signature["key"] : undefined;
      if (typeof key !== "string") throw new Error("the signature has no key");
      if (key !== keyId && key !== unnamedKey) return false;
      const bytes = bytesOf(signature);
      // Bytes that have passed through the network have lost their padding.
      for (const reading of ["strict", "lenient"] as const)
        for (const order of ["lexicographic", "dag-cbor"] as const) {
          const signed = signedCid(record, { type, repository }, order, reading);
          if (await verifySignature(publicKey, signed, bytes)) return true;
        }
      return false;
    },
  };
}

function bytesOf(signature: unknown): Buffer {
  const part = isObject(signature) ? signature["signature"] : undefined;
  const text = isObject(part) ? part["$bytes"] : undefined;
  const bytes = typeof text === "string" ? fromBase64(text, "lenient") : undefined;
  if (bytes?.length !== signatureBytes)
    throw new Error(`the signature has no $bytes that are base64 of ${signatureBytes} bytes`);
  return bytes;
}
