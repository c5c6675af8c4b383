import { jsonReply, type Reply, type ServiceRequest } from "./service.ts";
import { XrpcError } from "./xrpc-error.ts";

export type XrpcMethod = (request: ServiceRequest) => Reply | Promise<Reply>;

export interface XrpcMethods {
  queries: Record<string, XrpcMethod>;
  procedures?: Record<string, XrpcMethod>;
}

/** Answers `/xrpc/<nsid>` from two tables. */
export function answerXrpc({ queries, procedures = {} }: XrpcMethods): XrpcMethod {
  return (request) => {
    if (request.path === "/xrpc/_health") return jsonReply({ version: "simulated" });
    const method = request.path.startsWith("/xrpc/")
      ? (queries[request.method] ?? procedures[request.method])
      : undefined;
    if (!method) throw new XrpcError(501, "MethodNotImplemented", "Method Not Implemented");
    const verb = request.method in queries ? "GET" : "POST";
    if (request.verb !== verb)
      throw new XrpcError(405, "InvalidRequest", `Incorrect HTTP method (${request.verb}) expected ${verb}`);
    return method(request);
  };
}

export function carReply(body: Uint8Array): Reply {
  return { headers: { "content-type": "application/vnd.ipld.car" }, body };
}

export function requiredParam(params: URLSearchParams, name: string): string {
  const value = params.get(name);
  if (!value) throw new XrpcError(400, "InvalidRequest", `Error: Params must have the property "${name}"`);
  return value;
}

export function limitParam(params: URLSearchParams, standard: number, max: number): number {
  const limit = Number(params.get("limit") ?? standard);
  if (Number.isInteger(limit) && limit >= 1 && limit <= max) return limit;
  throw new XrpcError(400, "InvalidRequest", `Error: limit must be an integer from 1 to ${max}`);
}

/** A page of a list sorted by DID; the cursor is the last DID of the page and absent at the end. */
export function pageByDid<Item extends { did: string }>(
  items: Item[],
  params: URLSearchParams,
  max: number,
): { page: Item[]; cursor?: string } {
  const after = params.get("cursor") ?? "";
  const limit = limitParam(params, Math.min(500, max), max);
  const rest = items.filter(({ did }) => did > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return { page, ...(last && rest.length > limit ? { cursor: last.did } : {}) };
}
