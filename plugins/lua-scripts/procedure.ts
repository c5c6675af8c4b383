import { HttpError } from "../../core/index.ts";
import { isObject } from "../../core/lexicons/document.ts";
import type { XrpcResolver } from "../../core/xrpc/dispatch.ts";
import type { Actor } from "./host/actor.ts";
import type { PdsWriter } from "./host/pds.ts";
import { withoutMember } from "./json-member.ts";
import type { XrpcScriptParts } from "./query.ts";
import { toSource, type ScriptRow } from "./scripts.ts";
import { createXrpcRun, toRequest, type ScriptedCall } from "./xrpc-run.ts";

export interface ProcedureScriptParts extends XrpcScriptParts {
  /** Without one `Record` is in no-auth mode. */
  pds?: PdsWriter | undefined;
}

/** Answers a procedure by its script, which may write to the caller's PDS where there is a session (lua §3.6). */
export function procedureScripts({ scripts, variables, pds, ...parts }: ProcedureScriptParts): XrpcResolver {
  const run = createXrpcRun(parts);
  return (call) => {
    const script = call.type === "procedure" ? scripts.get(`xrpc.procedure:${call.nsid}`) : undefined;
    return script ? answer(script, call) : undefined;
  };

  async function answer(script: ScriptRow, call: ScriptedCall): ReturnType<typeof run> {
    const { input, delegateDid } = withoutDelegate(call);
    return run(
      script,
      call,
      {
        kind: "procedure",
        script: toSource(script),
        env: variables.env(),
        procedure: { ...toRequest(call), input, delegateDid },
      },
      await actorOf(call, delegateDid),
    );
  }

  async function actorOf({ caller, nesting }: ScriptedCall, delegateDid: string | undefined): Promise<Actor> {
    // Who may write for whom is known to the plugin that keeps the sessions; without it, nobody may.
    if (!pds && delegateDid !== undefined)
      throw new HttpError(401, "delegation requires DPoP authentication");
    const session = await pds?.session({ caller, delegateDid });
    return { caller, nesting, delegateDid, session };
  }
}

/** The body as JSON text, as it was sent: numbers stay what they are. */
function withoutDelegate({ input, inputText }: Pick<ScriptedCall, "input" | "inputText">): {
  input: string;
  delegateDid: string | undefined;
} {
  const text = inputText ?? JSON.stringify(input ?? null);
  if (!isObject(input) || !Object.hasOwn(input, "delegateDid"))
    return { input: text, delegateDid: undefined };
  const { delegateDid } = input;
  return {
    input: withoutMember(text, "delegateDid"),
    delegateDid: typeof delegateDid === "string" ? delegateDid : undefined,
  };
}
