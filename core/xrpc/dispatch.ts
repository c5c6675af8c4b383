import { HappyViewError, HttpError } from "../errors.ts";
import type { Hooks } from "../hooks.ts";
import { identifyXrpc, type Caller, type Callers } from "../http/caller.ts";
import { readJson, type HttpRequest } from "../http/request.ts";
import type { RouteContext, Router } from "../http/router.ts";
import type { Lexicon, LexiconRegistry } from "../lexicons/registry.ts";
import type { RecordStore } from "../records/store.ts";
import { defaultQuery, type ListConditionSource } from "./defaults.ts";
import { isReserved, reservedAnswer } from "./reserved.ts";
import { parseParams, type Params } from "./params.ts";

export interface XrpcCall {
  nsid: string;
  type: "query" | "procedure";
  request: HttpRequest;
  caller: Caller;
  params: Params;
  /** The JSON body of a procedure. */
  input: unknown;
}

/** A method that a plugin serves itself, with or without a lexicon. Its result is a Reply or a JSON value. */
export interface XrpcMethod {
  type: "query" | "procedure";
  handle(call: XrpcCall): unknown;
}

/** Answers calls to lexicons before their default does (scripts); undefined passes. */
export type XrpcResolver = (call: XrpcCall & { lexicon: Lexicon }) => Promise<unknown> | undefined;

/** Answers calls to NSIDs that are not registered. */
export type XrpcFallback = (call: Omit<XrpcCall, "params"> & { query: string }) => Promise<unknown>;

export interface XrpcMethods {
  /** @example app.xrpc.method("com.example.ping", { type: "query", handle: () => ({ pong: true }) }); */
  method(nsid: string, method: XrpcMethod): void;
  resolve(resolver: XrpcResolver): void;
  /** Adds a condition to the lists that lexicons without a script give. */
  listCondition(source: ListConditionSource): void;
}

export interface XrpcParts {
  router: Router;
  callers: Callers;
  lexicons: LexiconRegistry;
  store: RecordStore;
  hooks: Hooks;
  fallback: XrpcFallback;
}

const noTypes = new Map<string, never>();

/** NSID → a plugin's method | a script | the default of the lexicon | the proxy (sync-and-xrpc §4.1). */
export function createXrpc({ router, callers, lexicons, store, hooks, fallback }: XrpcParts): XrpcMethods {
  const methods = new Map<string, XrpcMethod>();
  const resolvers: XrpcResolver[] = [];
  const conditions: ListConditionSource[] = [];

  async function dispatch(
    type: XrpcCall["type"],
    { request, params: { nsid = "" }, query }: RouteContext,
  ): Promise<unknown> {
    const method = methods.get(nsid);
    if (!method && isReserved(nsid)) throw reservedAnswer(nsid, await identifyXrpc(request, callers));
    const { caller, input } = await admit(type, nsid, request);
    const lexicon = lexicons.get(nsid);
    const call = { nsid, type, request, caller, input };
    if (method) {
      requireType(method.type, type, nsid);
      return method.handle({ ...call, params: parseParams(query, lexicon?.parameters ?? noTypes) });
    }
    if (!lexicon) return fallback({ ...call, query });
    requireType(lexicon.type, type, nsid);
    const params = parseParams(query, lexicon.parameters);
    for (const resolver of resolvers) {
      const answer = resolver({ ...call, params, lexicon });
      if (answer) return answer;
    }
    if (type === "query") return defaultQuery(lexicon, params, store, conditions);
    throw new HttpError(
      501,
      `${nsid} has no script, and writes to the caller's PDS need a plugin that holds sessions`,
    );
  }

  /** Who calls, and the body: in HappyView's order, a bad body is refused before an anonymous procedure is. */
  async function admit(
    type: XrpcCall["type"],
    nsid: string,
    request: HttpRequest,
  ): Promise<{ caller: Caller; input: unknown }> {
    const caller = await identifyXrpc(request, callers);
    const input = type === "procedure" ? await readJson(request) : undefined;
    if (type === "procedure" && caller.did === null)
      throw new HttpError(401, "XRPC procedures require DPoP authentication");
    const result = hooks.callHook("request", { http: request, caller, nsid });
    if (result) await result;
    return { caller, input };
  }

  router.route("GET /xrpc/:nsid", (context) => dispatch("query", context));
  router.route("POST /xrpc/:nsid", (context) => dispatch("procedure", context));

  return {
    method(nsid, method) {
      if (methods.has(nsid))
        throw new HappyViewError("CONTRIBUTION_DUPLICATE", {
          message: `two plugins contribute the XRPC method ${nsid}`,
          hint: "remove one of them from the config",
        });
      methods.set(nsid, method);
    },
    resolve: (resolver) => void resolvers.push(resolver),
    listCondition: (source) => void conditions.push(source),
  };
}

function requireType(actual: string, asked: XrpcCall["type"], nsid: string): void {
  if (actual !== asked) throw new HttpError(400, `${nsid} is not a ${asked} endpoint`);
}
