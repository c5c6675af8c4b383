import { Secp256k1Keypair } from "@atproto/crypto";
import { explain, HappyViewError } from "../../../core/errors.ts";
import type { PluginApp } from "../../../core/plugin-app.ts";
import { resealAtStart } from "../../../core/reseal.ts";
import { createSecretBox } from "../../../core/secret-box.ts";
import { createSigner, type Signer } from "./signer.ts";

type Parts = Pick<PluginApp, "config" | "db" | "domains" | "hook" | "log" | "onClose" | "settings">;

/**
 * The signer of this instance: the key of ATTESTATION_PRIVATE_KEY (32 bytes in hexadecimal), else the one that is made
 * once and kept in the database, encrypted where TOKEN_ENCRYPTION_KEY is set. Undefined when the stored key cannot be
 * read; scripts then have no `atproto.sign`.
 * @throws HappyViewError CONFIG_INVALID for a ATTESTATION_PRIVATE_KEY that is none
 */
export async function loadSigner(app: Parts): Promise<Signer | undefined> {
  const { config, domains, log, settings } = app;
  const host = new URL(domains.primary()).hostname;
  settings.define({
    key: "attestation_key_id",
    env: "ATTESTATION_KEY_ID",
    default: `did:web:${host}#attestation`,
  });
  settings.define({
    key: "attestation_sig_type",
    env: "ATTESTATION_SIG_TYPE",
    default: "games.gamesgamesgamesgames.attestation",
  });
  const given = config.env["ATTESTATION_PRIVATE_KEY"] ?? "";
  const keypair = given === "" ? await storedKey(app) : await importKey(given);
  if (!keypair) return undefined;
  const [keyId = "", type = ""] = [settings.get("attestation_key_id"), settings.get("attestation_sig_type")];
  const signer = createSigner(keypair, { keyId, type });
  log.debug("scripts can sign records", { key: keyId, publicKey: signer.publicKey });
  return signer;
}

async function importKey(hex: string): Promise<Secp256k1Keypair> {
  try {
    if (/^[\da-f]{64}$/i.test(hex)) return await Secp256k1Keypair.import(hex);
  } catch {
    // zero, or more than the order of the curve
  }
  throw new HappyViewError("CONFIG_INVALID", {
    message: "ATTESTATION_PRIVATE_KEY is not a secp256k1 key: 32 bytes in hexadecimal",
    hint: "make one with: openssl rand -hex 32",
  });
}

async function storedKey(app: Parts): Promise<Secp256k1Keypair | undefined> {
  const { env } = app.config;
  const { db, log } = app;
  const box = createSecretBox(env["TOKEN_ENCRYPTION_KEY"], env["TOKEN_ENCRYPTION_KEY_PREVIOUS"]);
  resealAtStart(app, box, [
    { table: "happyview_attestation_keys", key: "id", isNumbered: true, column: "sealed" },
  ]);
  const stored = async (): Promise<string | undefined> =>
    (await db.get<{ sealed: string }>("SELECT sealed FROM happyview_attestation_keys WHERE id = 1"))?.sealed;
  let sealed = await stored();
  if (sealed === undefined) {
    const made = await Secp256k1Keypair.create({ exportable: true });
    const hex = Buffer.from(await made.export()).toString("hex");
    // Another process may have been first: the one that is stored counts.
    await db.run("INSERT INTO happyview_attestation_keys (id, sealed) VALUES (1, ?) ON CONFLICT DO NOTHING", [
      box.seal(hex),
    ]);
    sealed = (await stored()) ?? "";
  }
  try {
    return await Secp256k1Keypair.import(box.open(sealed));
  } catch (error) {
    log.error("the attestation key cannot be read; scripts cannot sign records", { error: explain(error) });
    return undefined;
  }
}
