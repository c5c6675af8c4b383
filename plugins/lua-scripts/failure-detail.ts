import type { ScriptFailure, Usage } from "./engine/engine.ts";
import { pathOfTrigger } from "./triggers.ts";

export interface FailedRun {
  trigger: string;
  error: ScriptFailure;
  /** What the run used, where it came so far. */
  used?: Usage | undefined;
  /** What caused it: parameters, a body, a record event. */
  input: unknown;
  /** Whom the script acted for. */
  caller: string | null;
}

const maxInputChars = 4096;

/**
 * What the event log says of a script that failed, so that its writer can act: where, why, on which input. Values of
 * script variables are masked, wherever they appear.
 */
export function failureDetail(
  { trigger, error, used, input, caller }: FailedRun,
  mask: (text: string) => string,
): Record<string, unknown> {
  const { type, message, line, traceback } = error;
  return {
    trigger,
    source: `${pathOfTrigger(trigger)}${line === null ? "" : `:${line}`}`,
    error: mask(message),
    error_type: type,
    line,
    traceback: mask(traceback),
    input: shown(input, mask),
    caller_did: caller,
    ...(used ? { used, duration_ms: used.ms } : {}),
  };
}

/** The input as it is, or the beginning of its text where it is long or holds a secret. */
function shown(input: unknown, mask: (text: string) => string): unknown {
  const text = JSON.stringify(input ?? null);
  const masked = mask(text);
  if (masked.length > maxInputChars) return `${masked.slice(0, maxInputChars)}…`;
  if (masked === text) return input ?? null;
  try {
    return JSON.parse(masked) as unknown;
  } catch {
    return masked; // a secret may have been part of the JSON's own text
  }
}
