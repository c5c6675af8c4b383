import { HttpError } from "../../core/index.ts";
import type { RepoWrite } from "./repo-writes.ts";

/**
 * Refuses what the granted scopes certainly do not allow, as the PDS would, in its words; what is not certain (permission
 * sets, methods of the PDS itself) is the PDS's to decide.
 * @throws HttpError 403
 */
export function requireGranted(
  scopes: readonly string[],
  call: { nsid: string; writes: readonly RepoWrite[]; proxy: string | null },
): void {
  if (scopes.includes("transition:generic") || scopes.some((scope) => scope.startsWith("include:"))) return;
  for (const { action, collection } of call.writes)
    if (!scopes.some((scope) => allowsWrite(scope, collection, action)))
      throw missing(`repo:${collection}?action=${action}`);
  if (call.proxy === null) return;
  const audience = call.proxy;
  if (!scopes.some((scope) => allowsCall(scope, call.nsid, audience)))
    throw missing(`rpc:${call.nsid}?aud=${audience.replace("#", "%23")}`);
}

function allowsWrite(scope: string, collection: string, action: string): boolean {
  const parsed = parse(scope, "repo", "collection");
  if (!parsed) return false;
  const actions = parsed.params.getAll("action");
  return isIn(parsed.names, collection) && (actions.length === 0 || actions.includes(action));
}

function allowsCall(scope: string, nsid: string, audience: string): boolean {
  const parsed = parse(scope, "rpc", "lxm");
  return parsed !== undefined && isIn(parsed.names, nsid) && isIn(parsed.params.getAll("aud"), audience);
}

/** `repo:a.b.c?action=create`, or `repo?collection=a.b.c&action=create`: the first parameter may stand behind the colon. */
function parse(
  scope: string,
  resource: string,
  first: string,
): { names: string[]; params: URLSearchParams } | undefined {
  const [head = "", query = ""] = scope.split("?", 2);
  const params = new URLSearchParams(query);
  if (head === resource) return { names: params.getAll(first), params };
  if (!head.startsWith(`${resource}:`)) return undefined;
  return { names: [decode(head.slice(resource.length + 1))], params };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isIn(names: readonly string[], name: string): boolean {
  return names.includes("*") || names.includes(name);
}

function missing(scope: string): HttpError {
  return new HttpError(403, { error: "ScopeMissingError", message: `Missing required scope "${scope}"` });
}
