import { explain } from "../../core/errors.ts";
import { HttpError, jsonText, type PluginApp, type Reply, type XrpcCall } from "../../core/index.ts";
import type { ParameterTypes } from "../../core/lexicons/document.ts";
import type { Lexicon } from "../../core/lexicons/registry.ts";
import type { Params } from "../../core/xrpc/params.ts";
import type { ScriptFailure } from "./engine/engine.ts";
import { requestText, type QueryRequest, type RequestRun, type ScriptParam } from "./engine/script-run.ts";
import type { Actor } from "./host/actor.ts";
import type { HostedPool } from "./host/index.ts";
import type { Reports } from "./report.ts";
import type { ScriptRow } from "./scripts.ts";

export type ScriptedCall = XrpcCall & { lexicon: Lexicon };

export interface XrpcRunParts {
  app: Pick<PluginApp, "log">;
  pool: HostedPool;
  reports: Reports;
}

/** Runs the script of a query or procedure once: the returned value is the body, always 200; a failure is an HttpError. */
export type XrpcRun = (
  script: ScriptRow,
  call: ScriptedCall,
  run: RequestRun,
  actor: Actor,
) => Promise<Reply>;

export function createXrpcRun({ app, pool, reports }: XrpcRunParts): XrpcRun {
  let toldAt = Number.NEGATIVE_INFINITY;
  return async (script, call, run, acting) => {
    const begun = performance.now();
    // A call from another script ends with that one; what a client asked for is done even when it is gone.
    const signal = call.nesting > 0 ? call.request.signal : undefined;
    const { nsid: method, type, caller } = call;
    const actor = caller.did;
    const outcome = await pool
      .run(run, { actor: acting, ...(signal ? { signal } : {}) })
      .catch((cause: unknown) => {
        throw signal?.aborted ? cause : notRun(script, call, run, cause);
      });
    reports.lines(script, actor, outcome);
    const durationMs = performance.now() - begun;
    if (outcome.kind !== "error") {
      const response = outcome.kind === "nil" ? "null" : outcome.json;
      if (reports.isVerbose())
        reports.answered({ script, actor, method, input: requestText(run), response, durationMs });
      return jsonText(response);
    }
    const error = reports.masked(outcome.error);
    app.log.warn(`a ${type} script failed`, { trigger: script.id, line: error.line, error: error.message });
    reports.failed({ script, actor, error, outcome, input: requestText(run), durationMs }, { method });
    throw toHttpError(error, method);
  };

  /** There is no room for the run, or its thread has died with it: the client may ask again. */
  function notRun(script: ScriptRow, call: ScriptedCall, run: RequestRun, cause: unknown): HttpError {
    const { nsid: method, caller } = call;
    const message = "the server has no room for this script now";
    // A flood of requests must not become one of events.
    if (performance.now() - toldAt >= 1000) {
      toldAt = performance.now();
      const error: ScriptFailure = { type: "runtime", message: explain(cause), line: null, traceback: "" };
      app.log.warn("a script could not be run", { trigger: script.id, error: error.message });
      const failed = { script, actor: caller.did, error, input: requestText(run), durationMs: 0 };
      reports.failed(failed, { method });
    }
    const body = { error: "script_error", errorType: "unavailable", message, method, line: null };
    return new HttpError(503, body, { "retry-after": "1" });
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
