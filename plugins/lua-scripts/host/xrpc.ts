import { explain, isHttpError } from "../../../core/errors.ts";
import type { Reply } from "../../../core/http/reply.ts";
import { isObject } from "../../../core/lexicons/document.ts";
import type { PluginApp } from "../../../core/plugin-app.ts";
import { ScriptError } from "../engine/engine.ts";
import type { HostFunctions } from "../engine/host.ts";
import type { Actor } from "./actor.ts";

/** The original has no guard; a script that calls itself would go on until the server has no memory. */
const maxNesting = 8;

const statusNames: Readonly<Record<number, string>> = {
  400: "bad request: ",
  401: "auth error: ",
  403: "forbidden: ",
  404: "not found: ",
};

/** `xrpc.query` and `xrpc.procedure` (lua §4.5): the same answer as over HTTP, as the caller of the run. */
export function xrpcFunctions(
  { xrpc, lexicons }: Pick<PluginApp, "xrpc" | "lexicons">,
  { caller, nesting }: Actor,
): HostFunctions {
  return {
    "xrpc.call": async ([kind, name, params, body], { signal }) => {
      const type = kind === "procedure" ? "procedure" : "query";
      const nsid = String(name);
      if (type === "procedure" && caller.did === null)
        throw new ScriptError("xrpc.procedure requires authentication (no caller_did)");
      if (nesting >= maxNesting)
        throw new ScriptError(`xrpc ${type} failed: calls are nested deeper than ${maxNesting}`);
      const isLocal = lexicons.get(nsid) !== undefined;
      try {
        const reply = await xrpc.call({
          nsid,
          type,
          caller,
          nesting: nesting + 1,
          query: toQuery(readParams(String(params)), isLocal),
          ...(type === "procedure"
            ? { input: JSON.parse(String(body)) as unknown, inputText: String(body) }
            : {}),
          signal,
        });
        const text = await bodyText(reply);
        if (reply.status >= 400)
          throw new ScriptError(isLocal ? `status ${reply.status}: ${text}` : `PDS error: ${reply.status}`);
        return { status: reply.status, body: text };
      } catch (error) {
        throw new ScriptError(`xrpc ${type} failed: ${describe(error)}`);
      }
    },
  };
}

function describe(error: unknown): string {
  if (!isHttpError(error)) return explain(error);
  const { status, body } = error;
  if (!isObject(body)) return `${statusNames[status] ?? ""}${error.message}`;
  const { error: text, errorType, message, method, line } = body;
  if (text !== "script_error") return `${statusNames[status] ?? ""}${String(message ?? text)}`;
  const place = line === null ? "" : ` at line ${String(line)}`;
  return `script ${String(errorType)} error in ${String(method)}${place}: ${String(message)}`;
}

/** Numbers as they are written, so that none of 64 bits is changed. */
function readParams(text: string): unknown {
  const revive = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === "number" ? (context?.source ?? value) : value;
  return JSON.parse(text, revive);
}

/** Repeated keys are how a list reaches a lexicon of ours; for another server it is JSON text, as in the original. */
function toQuery(params: unknown, isLocal: boolean): string {
  const pairs: string[] = [];
  const add = (key: string, value: unknown): void => {
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    pairs.push(`${encodeURIComponent(key)}=${encodeURIComponent(text)}`);
  };
  for (const [key, value] of Object.entries(isObject(params) ? params : {})) {
    if (value === null) continue;
    if (isLocal && Array.isArray(value)) for (const item of value) add(key, item);
    else add(key, value);
  }
  return pairs.join("&");
}

async function bodyText({ body }: Reply): Promise<string> {
  if (body === null) return "";
  if (typeof body === "string") return body;
  if (body instanceof Uint8Array) return new TextDecoder().decode(body);
  return new Response(body).text();
}
