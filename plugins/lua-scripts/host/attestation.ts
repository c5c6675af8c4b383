import { explain } from "../../../core/errors.ts";
import type { Signer } from "../attestation/signer.ts";
import { ScriptError } from "../engine/engine.ts";
import type { HostFunctions } from "../engine/host.ts";
import type { ScriptRun } from "../engine/script-run.ts";
import type { Actor } from "./actor.ts";

/** `atproto.sign` and `atproto.verify_signature` (lua §4.6). */
export function attestationFunctions(signer: Signer | undefined, repository: string): HostFunctions {
  if (!signer) return {};
  return {
    "atproto.sign": async ([record]) =>
      signer.sign(String(record), repository).catch((error: unknown) => {
        throw new ScriptError(`atproto.sign: ${explain(error)}`);
      }),
    "atproto.verify": async ([record, signature, did]) => {
      try {
        const isValid = await signer.verify(String(record), JSON.parse(String(signature)), String(did));
        return { valid: isValid };
      } catch (error) {
        return { valid: false, problem: explain(error) };
      }
    },
  };
}

/** Whose record a run signs: the caller's, and nobody's where records and labels pass through. */
export function signedRepository({ kind }: Pick<ScriptRun, "kind">, { caller }: Actor): string {
  return kind === "record" || kind === "label" ? "" : (caller.did ?? "");
}
