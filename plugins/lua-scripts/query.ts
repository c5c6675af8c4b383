import type { XrpcResolver } from "../../core/xrpc/dispatch.ts";
import { toSource, type Scripts } from "./scripts.ts";
import type { Variables } from "./variables.ts";
import { createXrpcRun, toRequest, type XrpcRunParts } from "./xrpc-run.ts";

export interface XrpcScriptParts extends XrpcRunParts {
  scripts: Scripts;
  variables: Variables;
}

/** Answers a query by its script (lua §3). */
export function queryScripts({ scripts, variables, ...parts }: XrpcScriptParts): XrpcResolver {
  const run = createXrpcRun(parts);
  return (call) => {
    const script = call.type === "query" ? scripts.get(`xrpc.query:${call.nsid}`) : undefined;
    if (!script) return undefined;
    const { caller, nesting } = call;
    return run(
      script,
      call,
      {
        kind: "query",
        script: toSource(script),
        env: variables.env(),
        query: toRequest(call),
      },
      { caller, nesting },
    );
  };
}
