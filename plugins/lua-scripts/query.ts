import { HttpError, jsonText, type PluginApp, type Reply, type XrpcCall } from "../../core/index.ts";
import type { ParameterTypes } from "../../core/lexicons/document.ts";
import type { XrpcResolver } from "../../core/xrpc/dispatch.ts";
import type { Params } from "../../core/xrpc/params.ts";
import type { ScriptFailure, ScriptOutcome } from "./engine/engine.ts";
import type { Pool } from "./engine/pool.ts";
import type { ScriptParam } from "./engine/script-run.ts";
import type { ScriptRow, Scripts } from "./scripts.ts";
import type { Variables } from "./variables.ts";

export interface QueryScriptParts {
  app: Pick<PluginApp, "events" | "log">;
  scripts: Scripts;
  variables: Variables;
  pool: Pool;
}

/** Answers a query by its script: the returned value is the body, always 200 (lua §3.4). */
export function queryScripts({ app, scripts, variables, pool }: QueryScriptParts): XrpcResolver {
  return (call) => {
    const script = call.type === "query" ? scripts.get(`xrpc.query:${call.nsid}`) : undefined;
    return script ? answer(script, call) : undefined;
  };

  async function answer(script: ScriptRow, call: Parameters<XrpcResolver>[0]): Promise<Reply> {
    const outcome = await pool.run({
      kind: "query",
      script: { trigger: script.id, body: script.body },
      env: variables.env(),
      query: {
        method: call.nsid,
        params: toScriptParams(call.params, call.lexicon.parameters),
        callerDid: call.caller.did ?? undefined,
        collection: call.lexicon.targetCollection ?? "",
      },
    });
    for (const message of outcome.logs)
      app.events.emit({
        type: "script.log",
        actor: call.caller.did,
        subject: script.id,
        detail: { trigger: script.id, message },
      });
    if (outcome.kind === "error") throw refuse(outcome.error, outcome, script, call);
    return jsonText(outcome.kind === "nil" ? "null" : outcome.json);
  }

  function refuse(
    error: ScriptFailure,
    { used }: ScriptOutcome,
    script: ScriptRow,
    call: XrpcCall,
  ): HttpError {
    app.log.warn("a query script failed", { trigger: script.id, line: error.line, error: error.message });
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
