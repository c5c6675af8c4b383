import {
  defaultLimits,
  type Limits,
  type ScriptOutcome,
  type SourceKind,
  type Validation,
} from "./engine/engine.ts";

/** Loading a script is quick; one that computes at its top level for longer than this is refused. */
export const validationLimits: Limits = { ...defaultLimits, milliseconds: 2000 };

/** What loading the body came to, in the words of the admin API (spec 6.2). */
export function toValidation(outcome: ScriptOutcome, source: SourceKind = "script"): Validation {
  if (outcome.kind !== "error") return { ok: true };
  const { type, message, line } = outcome.error;
  if (type === "missing_handle" && source === "module") return { ok: true };
  if (type === "missing_handle") return { ok: false, message: "script must define a handle() function" };
  return compilationFailed(line === null ? message : `line ${line}: ${message}`);
}

export function compilationFailed(reason: string): Validation {
  return { ok: false, message: `script compilation failed: ${reason}` };
}
