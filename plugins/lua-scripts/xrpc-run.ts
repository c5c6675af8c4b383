import { HttpError, jsonText, type PluginApp, type Reply, type XrpcCall } from "../../core/index.ts";
import type { ParameterTypes } from "../../core/lexicons/document.ts";
import type { Lexicon } from "../../core/lexicons/registry.ts";
import type { Params } from "../../core/xrpc/params.ts";
import { emitLogs } from "./attempts.ts";
import { failureDetail } from "./failure-detail.ts";
import type { ScriptFailure, ScriptOutcome } from "./engine/engine.ts";
import type { QueryRequest, ScriptParam, ScriptRun } from "./engine/script-run.ts";
import type { Actor } from "./host/actor.ts";
import type { HostedPool } from "./host/index.ts";
import type { ScriptRow } from "./scripts.ts";
import type { Variables } from "./variables.ts";

const maxShownChars = 2048;

export type ScriptedCall = XrpcCall & { lexicon: Lexicon };

export interface XrpcRunParts {
  app: Pick<PluginApp, "events" | "log" | "settings">;
  pool: HostedPool;
  variables: Pick<Variables, "mask">;
}

/** Runs the script of a query or procedure once: the returned value is the body, always 200; a failure is an HttpError. */
export type XrpcRun = (script: ScriptRow, call: ScriptedCall, run: ScriptRun, actor: Actor) => Promise<Reply>;

export function createXrpcRun({ app, pool, variables: { mask } }: XrpcRunParts): XrpcRun {
  return async (script, call, run, actor) => {
    // A call from another script ends with that one; what a client asked for is done even when it is gone.
    const signal = call.nesting > 0 ? call.request.signal : undefined;
    const outcome = await pool.run(run, { actor, ...(signal ? { signal } : {}) });
    emitLogs(app.events, { trigger: script.id, actor: call.caller.did, logs: outcome.logs, mask });
    if (outcome.kind === "error") throw refuse(outcome.error, outcome, script, call);
    const json = outcome.kind === "nil" ? "null" : outcome.json;
    // Asked first: most instances keep no such events, and a hot query should not pay for them.
    if (app.settings.isOn("verbose_event_logging"))
      app.events.emit({
        type: "script.executed",
        actor: call.caller.did,
        subject: script.id,
        detail: executedDetail(call, script.id, json, mask),
      });
    return jsonText(json);
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
      error: mask(error.message),
    });
    const failed = { trigger: script.id, error, used, input: inputOf(call), caller: call.caller.did };
    app.events.emit({
      type: "script.error",
      severity: "error",
      actor: call.caller.did,
      subject: script.id,
      detail: { ...failureDetail(failed, mask), method: call.nsid },
    });
    return toHttpError({ ...error, message: mask(error.message) }, call.nsid); // seen by whoever asks
  }
}

function inputOf({ type, params, input }: XrpcCall): unknown {
  return type === "query" ? { params } : { params, input };
}

/** The beginning of what went in and came out; the event is kept only where verbose logging is on. */
function executedDetail(
  call: XrpcCall,
  trigger: string,
  json: string,
  mask: (text: string) => string,
): Record<string, unknown> {
  const start = (text: string): string => mask(text.slice(0, maxShownChars));
  return {
    trigger,
    method: call.nsid,
    input: start(JSON.stringify(inputOf(call))),
    response: start(json),
  };
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
