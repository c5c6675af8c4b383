import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { HappyViewError } from "./errors.ts";

const prefix = "enc:v1:";
const nonceBytes = 12;
const tagBytes = 16;

/** Keeps values unreadable in the database: AES-256-GCM under TOKEN_ENCRYPTION_KEY, as nonce, ciphertext, tag. */
export interface SecretBox {
  /** False without a key: values are then kept as they are. */
  readonly isSealing: boolean;
  seal(text: string): string;
  /** Reads what was sealed, or kept as it was before there was a key. @throws Error when the key is not the one it was sealed with */
  open(stored: string): string;
}

/** @param key base64 of 32 bytes; @throws HappyViewError CONFIG_INVALID for anything else (admin-api §4 ignores it silently) */
export function createSecretBox(key: string | undefined): SecretBox {
  const secret = key === undefined || key === "" ? undefined : Buffer.from(key, "base64");
  if (secret && secret.length !== 32)
    throw new HappyViewError("CONFIG_INVALID", {
      message: "TOKEN_ENCRYPTION_KEY is not base64 of exactly 32 bytes",
      hint: "make one with: openssl rand -base64 32",
    });
  return {
    isSealing: secret !== undefined,
    seal(text) {
      if (!secret) return text;
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv("aes-256-gcm", secret, nonce);
      const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return prefix + sealed.toString("base64");
    },
    open(stored) {
      if (!stored.startsWith(prefix)) return stored;
      if (!secret) throw new Error("it is encrypted, and TOKEN_ENCRYPTION_KEY is not set");
      const bytes = Buffer.from(stored.slice(prefix.length), "base64");
      const decipher = createDecipheriv("aes-256-gcm", secret, bytes.subarray(0, nonceBytes));
      decipher.setAuthTag(bytes.subarray(-tagBytes));
      return Buffer.concat([
        decipher.update(bytes.subarray(nonceBytes, -tagBytes)),
        decipher.final(),
      ]).toString("utf8");
    },
  };
}
