import type { JsonValue } from "@atproto/lex-json";
import { explain } from "../../../core/errors.ts";
import type { Logger } from "../../../core/log.ts";
import type { CallAnswer } from "../worker/protocol.ts";
import { ScriptError, type JsonText } from "./engine.ts";

export type { JsonValue };

export interface HostCallContext {
  /** Aborted when the run is over, given up, or lost with its thread. */
  signal: AbortSignal;
}

/**
 * What a run may ask of the main thread, by name. Undefined is nil for the script, and what is thrown as ScriptError
 * it can read and catch; of other errors it learns only that there was one.
 */
export type HostFunctions = Readonly<Record<string, HostFunctionOnMain>>;

export type HostFunctionOnMain = (args: readonly JsonValue[], context: HostCallContext) => unknown;

/** Performs one call; never rejects. An answer longer than `maxLength` could not be held by the script anyway. */
export async function answerCall(
  host: HostFunctions | undefined,
  { name, args }: { name: string; args: string },
  { signal, maxLength, log }: { signal: AbortSignal; maxLength: number; log: Logger },
): Promise<CallAnswer> {
  try {
    const fn = host && Object.hasOwn(host, name) ? host[name] : undefined;
    if (!fn) throw new ScriptError(`${name} is not available here`);
    const result = await fn(JSON.parse(args) as JsonValue[], { signal }); // the Lua side writes an array
    const value = toJson(result);
    if (value !== undefined && value.length > maxLength) throw new ScriptError("not enough memory");
    return { ok: true, value };
  } catch (error) {
    if (isScriptError(error)) return { ok: false, error: error.message, limit: error.limit };
    log.error("a function of the host failed for a script", { function: name, error: explain(error) });
    return { ok: false, error: `${name} failed` };
  }
}

/** By its name: bundling can duplicate a class. */
function isScriptError(error: unknown): error is ScriptError {
  return error instanceof Error && error.name === "ScriptError";
}

function toJson(result: unknown): string | undefined {
  if (isJsonText(result)) return result.json;
  return result === undefined ? undefined : JSON.stringify(result);
}

const brand: unique symbol = Symbol("json text");

interface BrandedText extends JsonText {
  [brand]: true;
}

/** Text that is JSON already, as the result of a host function. */
export function jsonResult(json: string): JsonText {
  return { json, [brand]: true } as BrandedText;
}

function isJsonText(value: unknown): value is BrandedText {
  return typeof value === "object" && value !== null && brand in value;
}
