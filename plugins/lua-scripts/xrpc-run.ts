import { HttpError, jsonText, type PluginApp, type Reply, type XrpcCall } from "../../core/index.ts";
import type { ParameterTypes } from "../../core/lexicons/document.ts";
import type { Lexicon } from "../../core/lexicons/registry.ts";
import type { Params } from "../../core/xrpc/params.ts";
import type { ScriptFailure, ScriptOutcome } from "./engine/engine.ts";
import type { QueryRequest, ScriptParam, ScriptRun } from "./engine/script-run.ts";
import type { Actor } from "./host/actor.ts";
import type { HostedPool } from "./host/index.ts";
import type { ScriptRow } from "./scripts.ts";

export type ScriptedCall = XrpcCall & { lexicon: Lexicon };

export interface XrpcRunParts {
  app: Pick<PluginApp, "events" | "log">;
  pool: HostedPool;
}

/** Runs the script of a query or procedure once: the returned value is the body, always 200; a failure is an HttpError. */
export type XrpcRun = (script: ScriptRow, call: ScriptedCall, run: ScriptRun, actor: Actor) => Promise<Reply>;

export function createXrpcRun({ app, pool }: XrpcRunParts): XrpcRun {
  return async (script, call, run, actor) => {
    // A call from another script ends with that one; what a client asked for is done even when it is gone.
    const signal = call.nesting > 0 ? call.request.signal : undefined;
    const outcome = await pool.run(run, { actor, ...(signal ? { signal } : {}) });
    for (const message of outcome.logs)
      app.events.emit({
        type: "script.log",
        actor: call.caller.did,
        subject: script.id,
        detail: { trigger: script.id, message },
      });
    if (outcome.kind === "error") throw refuse(outcome.error, outcome, script, call);
    return jsonText(outcome.kind === "nil" ? "null" : outcome.json);
  };

  function refuse(
    error: ScriptFailure,
    { used }: ScriptOutcome,
    script: ScriptRow,
    call: XrpcCall,
  ): HttpError {
    app.log.warn(`a ${call.type} script failed`, {
      trigger: script.id,
      line: error.line,
      error: error.message,
    });
    app.events.emit({
      type: "script.error",
      severity: "error",
      actor: call.caller.did,
      subject: script.id,
      detail: {
        error: error.message,
        line: error.line,
        traceback: error.traceback,
        method: call.nsid,
        used,
        duration_ms: used.ms,
      },
    });
    return toHttpError(error, call.nsid);
  }
}

/** What both kinds of scripts get of their request (lua §3.2). */
export function toRequest({ nsid, params, caller, lexicon }: ScriptedCall): QueryRequest {
  return {
    method: nsid,
    params: toScriptParams(params, lexicon.parameters),
    callerDid: caller.did ?? undefined,
    collection: lexicon.targetCollection ?? "",
  };
}

/** A script's failure as its client sees it (lua §3.5). */
function toHttpError({ type, message, line }: ScriptFailure, method: string): HttpError {
  const auth = message.indexOf("AUTH_ERROR:");
  if (auth >= 0) return new HttpError(401, message.slice(auth + "AUTH_ERROR:".length).trimStart());
  const body = { error: "script_error", errorType: type, message, method, line };
  return new HttpError(type === "timeout" ? 408 : 500, body);
}

/** Lua tells integers from floats: a declared `integer` is one, a declared `number` never is. */
function toScriptParams(params: Params, types: ParameterTypes): Record<string, ScriptParam> {
  return Object.fromEntries(
    Object.entries(params).map(([key, value]) => [
      key,
      typeof value === "number" && types.get(key) === "integer" ? BigInt(value) : value,
    ]),
  );
}
