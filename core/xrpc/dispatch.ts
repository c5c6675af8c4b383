import { HappyViewError, HttpError } from "../errors.ts";
import type { Hooks, XrpcAdmission } from "../hooks.ts";
import { identifyXrpc, type Caller, type Callers } from "../http/caller.ts";
import { reply, toReply, type Reply } from "../http/reply.ts";
import { readJsonText, type HttpRequest } from "../http/request.ts";
import type { RouteContext, Router } from "../http/router.ts";
import type { Lexicon, LexiconRegistry } from "../lexicons/registry.ts";
import type { RecordStore } from "../records/store.ts";
import { defaultQuery, type ListConditionSource } from "./defaults.ts";
import type { Decorator } from "./decorate.ts";
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
  /** The same as it was sent, where it came as text. */
  inputText?: string | undefined;
  /** How many calls led to this one: 0 for a request, one more for each call from within. */
  nesting: number;
}

/** A call from within the process: no credential is read and no request counted, the caller is as given. */
export interface InternalCall extends Pick<XrpcCall, "nsid" | "type" | "caller" | "nesting"> {
  /** As in a URL, without the `?`. */
  query: string;
  input?: unknown;
  /** The same as JSON text, where numbers are to keep what a double cannot hold. */
  inputText?: string;
  signal?: AbortSignal;
}

/** A method that a plugin serves itself, with or without a lexicon. Its result is a Reply or a JSON value. */
export interface XrpcMethod {
  type: "query" | "procedure";
  /** Reads the body itself, which need not be JSON. @default false */
  readsBody?: boolean;
  handle(call: XrpcCall): unknown;
}

/** What a procedure does whose lexicon has no script. */
export type ProcedureDefault = (call: XrpcCall & { lexicon: Lexicon }) => Promise<unknown>;

/** Answers calls to lexicons before their default does (scripts); undefined passes. */
export type XrpcResolver = (call: XrpcCall & { lexicon: Lexicon }) => Promise<unknown> | undefined;

/** A call to an NSID that is not registered. */
export interface ForwardedCall extends Omit<XrpcCall, "params" | "nesting"> {
  /** As in the URL, without the `?`. */
  query: string;
  nesting?: number;
}

/** Calls the caller's own PDS in the caller's name. @throws HttpError 401 for a caller without a session */
export type OwnPds = (call: ForwardedCall) => Promise<Reply>;

/** Answers calls to NSIDs that are not registered. */
export type XrpcFallback = (call: ForwardedCall, ownPds: OwnPds | undefined) => Promise<unknown>;

export interface XrpcMethods {
  /** @example app.xrpc.method("com.example.ping", { type: "query", handle: () => ({ pong: true }) }); */
  method(nsid: string, method: XrpcMethod): void;
  /** True for an NSID that a plugin serves. */
  isMethod(nsid: string): boolean;
  resolve(resolver: XrpcResolver): void;
  /** Answers procedures whose lexicon has no script; one plugin does. */
  defaultProcedure(answer: ProcedureDefault): void;
  /** Brings calls that are not served here to the caller's PDS; the plugin that holds sessions does. */
  ownPds(call: OwnPds): void;
  /** What a request would be answered, made in the process; NSIDs that are not registered are forwarded whatever the proxy policy says. */
  call(call: InternalCall): Promise<Reply>;
  /** Adds to the records of such answers what the request asks for. */
  decorate(decorator: Decorator): void;
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
  const decorators: Decorator[] = [];
  let procedureDefault: ProcedureDefault | undefined;
  let ownPds: OwnPds | undefined;

  async function dispatch(
    type: XrpcCall["type"],
    { request, params: { nsid = "" }, query }: RouteContext,
  ): Promise<unknown> {
    const method = methods.get(nsid);
    if (!method && isReserved(nsid)) throw reservedAnswer(nsid, await identifyXrpc(request, callers));
    const { admission, body } = await admit(type, nsid, request, query);
    const { caller } = admission;
    const result = await answer(
      { nsid, type, request, caller, input: body?.value, inputText: body?.text, nesting: 0 },
      query,
    );
    const { headers } = admission; // what was set while it was answered, too
    return headers === undefined ? result : withHeaders(toReply(result), headers);
  }

  async function answer(call: Omit<XrpcCall, "params">, query: string): Promise<unknown> {
    const { nsid, type } = call;
    const method = methods.get(nsid);
    const lexicon = lexicons.get(nsid);
    if (method) {
      requireType(method.type, type, nsid);
      return method.handle({ ...call, params: parseParams(query, lexicon?.parameters ?? noTypes) });
    }
    if (!lexicon) return fallback({ ...call, query }, ownPds);
    requireType(lexicon.type, type, nsid);
    const params = parseParams(query, lexicon.parameters);
    for (const resolver of resolvers) {
      const answer = resolver({ ...call, params, lexicon });
      if (answer) return answer;
    }
    if (type === "query") {
      const decorations = decorators.flatMap((decorator) => decorator(call.request) ?? []);
      return defaultQuery(lexicon, params, store, { conditions, decorations });
    }
    if (procedureDefault) return procedureDefault({ ...call, params, lexicon });
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
    query: string,
  ): Promise<{
    admission: XrpcAdmission;
    body: { value: unknown; text: string } | undefined;
  }> {
    const caller = await identifyXrpc(request, callers);
    const isJson = type === "procedure" && !methods.get(nsid)?.readsBody;
    const body = isJson ? await readJsonText(request) : undefined;
    if (type === "procedure" && caller.did === null)
      throw new HttpError(401, "XRPC procedures require DPoP authentication");
    const admission: XrpcAdmission = { http: request, caller, nsid, type, query, headers: undefined };
    const result = hooks.callHook("request", admission);
    if (result) await result;
    return { admission, body };
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
    isMethod: (nsid) => methods.has(nsid),
    resolve: (resolver) => void resolvers.push(resolver),
    defaultProcedure(answer) {
      if (procedureDefault)
        throw new HappyViewError("CONTRIBUTION_DUPLICATE", {
          message: "two plugins answer procedures that have no script",
          hint: "remove one of them from the config",
        });
      procedureDefault = answer;
    },
    ownPds(call) {
      if (ownPds)
        throw new HappyViewError("CONTRIBUTION_DUPLICATE", {
          message: "two plugins call the PDSes of callers",
          hint: "remove one of them from the config",
        });
      ownPds = call;
    },
    async call({ query, signal, ...call }) {
      if (!methods.has(call.nsid) && isReserved(call.nsid)) throw reservedAnswer(call.nsid, call.caller);
      const request = internalRequest(call, query, signal);
      return toReply(await answer({ input: undefined, ...call, request }, query));
    },
    decorate: (decorator) => void decorators.push(decorator),
    listCondition: (source) => void conditions.push(source),
  };
}

function withHeaders(made: Reply, headers: Record<string, string>): Reply {
  return made.status < 400 ? reply(made.status, made.body, { ...made.headers, ...headers }) : made;
}

function internalRequest(
  { nsid, type }: Pick<XrpcCall, "nsid" | "type">,
  query: string,
  signal: AbortSignal | undefined,
): HttpRequest {
  return {
    method: type === "query" ? "GET" : "POST",
    url: `/xrpc/${nsid}${query ? `?${query}` : ""}`,
    headers: { get: () => null },
    signal,
    arrayBuffer: () => Promise.resolve(new ArrayBuffer(0)),
  };
}

function requireType(actual: string, asked: XrpcCall["type"], nsid: string): void {
  if (actual !== asked) throw new HttpError(400, `${nsid} is not a ${asked} endpoint`);
}
