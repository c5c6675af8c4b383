import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { HappyViewError } from "./errors.ts";

const prefix = "enc:v1:";
const nonceBytes = 12;
const tagBytes = 16;

/** Keeps values unreadable in the database: AES-256-GCM under TOKEN_ENCRYPTION_KEY, as nonce, ciphertext, tag (auth §3.2). */
export interface SecretBox {
  /** False without a key: values are then kept as they are. */
  readonly isSealing: boolean;
  seal(text: string): string;
  /** Reads what was sealed, or kept as it was before there was a key. @throws Error when the key is not the one it was sealed with */
  open(stored: string): string;
  /** The same as bytes, in HappyView's format. @throws Error without a key */
  sealBytes(text: string): Uint8Array;
  openBytes(stored: Uint8Array): string;
  /** True where a previous key is known, so that something may be left that only that one opens. */
  readonly isRotating: boolean;
  /** The same under the current key; undefined when it is already, or when the previous key does not open it either. */
  reseal(stored: string): string | undefined;
  resealBytes(stored: Uint8Array): Uint8Array | undefined;
}

/**
 * @param key base64 of 32 bytes
 * @param previous a key that was in force before: what it sealed can still be read, and is sealed anew when it is written
 * @throws HappyViewError CONFIG_INVALID for anything else (admin-api §4 ignores it silently)
 */
export function createSecretBox(key: string | undefined, previous?: string): SecretBox {
  const secret = toSecret("TOKEN_ENCRYPTION_KEY", key);
  const old = toSecret("TOKEN_ENCRYPTION_KEY_PREVIOUS", previous);

  const sealBytes = (text: string): Buffer => {
    if (!secret) throw new Error("TOKEN_ENCRYPTION_KEY is not set");
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", secret, nonce);
    return Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  };
  const openBytes = (stored: Uint8Array): string => {
    if (!secret) throw new Error("it is encrypted, and TOKEN_ENCRYPTION_KEY is not set");
    const bytes = Buffer.from(stored);
    if (bytes.length < nonceBytes + tagBytes) throw new Error("it is too short to be an encrypted value");
    try {
      return decrypt(secret, bytes);
    } catch (error) {
      const opened = old && attempt(old, bytes);
      if (opened === undefined)
        throw new Error("it was encrypted with another TOKEN_ENCRYPTION_KEY", { cause: error });
      return opened;
    }
  };
  const resealBytes = (stored: Uint8Array): Buffer | undefined => {
    const bytes = Buffer.from(stored);
    if (!secret || !old || attempt(secret, bytes) !== undefined) return undefined;
    const opened = attempt(old, bytes);
    return opened === undefined ? undefined : sealBytes(opened);
  };
  const toText = (bytes: Buffer): string => prefix + bytes.toString("base64");
  const toBytes = (stored: string): Buffer => Buffer.from(stored.slice(prefix.length), "base64");
  return {
    isSealing: secret !== undefined,
    seal: (text) => (secret ? toText(sealBytes(text)) : text),
    open: (stored) => (stored.startsWith(prefix) ? openBytes(toBytes(stored)) : stored),
    sealBytes,
    openBytes,
    reseal(stored) {
      const next = stored.startsWith(prefix) ? resealBytes(toBytes(stored)) : undefined;
      return next && toText(next);
    },
    isRotating: secret !== undefined && old !== undefined,
    resealBytes,
  };
}

/** Undefined when it is another key's, or damaged. */
function attempt(secret: Buffer, bytes: Buffer): string | undefined {
  try {
    return decrypt(secret, bytes);
  } catch {
    return undefined;
  }
}

function decrypt(secret: Buffer, bytes: Buffer): string {
  const decipher = createDecipheriv("aes-256-gcm", secret, bytes.subarray(0, nonceBytes));
  decipher.setAuthTag(bytes.subarray(-tagBytes));
  return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]).toString(
    "utf8",
  );
}

function toSecret(name: string, key: string | undefined): Buffer | undefined {
  if (key === undefined || key === "") return undefined;
  const secret = Buffer.from(key, "base64");
  if (secret.length === 32) return secret;
  throw new HappyViewError("CONFIG_INVALID", {
    message: `${name} is not base64 of exactly 32 bytes`,
    hint: "make one with: openssl rand -base64 32",
  });
}
