import { defaultLimits, type EngineRun, type Limits } from "./engine.ts";
import { formatFloat } from "./json-float.ts";

export interface ScriptSource {
  /** Such as `record.index:xyz.statusphere.status`. */
  trigger: string;
  /** How error messages and tracebacks name it. @default the trigger */
  name?: string;
  body: string;
  /** Sources for `require`: `lib.dates` by its text. */
  modules?: Readonly<Record<string, string>>;
}

/** A query parameter after coercion by the lexicon: integers are bigints, numbers are floats. */
export type ScriptParam = string | readonly string[] | boolean | bigint | number;

export interface RecordEvent {
  action: "create" | "update" | "delete";
  uri: string;
  did: string;
  collection: string;
  rkey: string;
  /** JSON text; null on delete. */
  record: string | null;
}

export interface QueryRequest {
  method: string;
  params: Readonly<Record<string, ScriptParam>>;
  callerDid?: string | undefined;
  /** The lexicon's target collection, "" without one. */
  collection: string;
}

export interface ProcedureRequest extends QueryRequest {
  /** JSON text of the body, without `delegateDid`. */
  input: string;
  delegateDid?: string | undefined;
}

export interface LabelEvent {
  src: string;
  uri: string;
  val: string;
  neg: boolean;
  cts: string;
  exp?: string | undefined;
}

export interface JobRequest {
  id: string;
  /** JSON text. */
  input: string;
  createdBy: string;
}

interface AnyRun {
  script: ScriptSource;
  env: Readonly<Record<string, string>>;
  /** True when writes to the PDS of the caller are possible. @default false */
  hasPdsAuth?: boolean;
  /** True when `atproto.sign` has a key. @default false */
  hasSigner?: boolean;
  limits?: Partial<Limits>;
}

type RunOf<Kind extends string, Data> = AnyRun & { kind: Kind } & Data;

export type ScriptRun =
  | RunOf<"record", { event: RecordEvent }>
  | RunOf<"label", { label: LabelEvent }>
  | RunOf<"query", { query: QueryRequest }>
  | RunOf<"procedure", { procedure: ProcedureRequest }>
  | RunOf<"job", { job: JobRequest }>;

const eventMilliseconds = 30_000;

/** The globals, input and context of a run (spec 1.3, 1.4, 1.7, 3.2, 5.1), limits filled in. */
export function toEngineRun(run: ScriptRun, limits: Limits): EngineRun {
  const { trigger, name: chunkName = trigger, body, modules } = run.script;
  const { context, ...parts } = partsOf(run);
  const shared = { trigger, has_pds_auth: run.hasPdsAuth ?? false, has_signer: run.hasSigner ?? false };
  return {
    chunkName,
    body,
    ...(modules ? { modules } : {}),
    ...parts,
    context: JSON.stringify({ ...shared, ...context.plain }).slice(0, -1) + members(context.json) + "}",
    limits: { ...limits, ...run.limits },
  };
}

/** A query or a procedure. */
export type RequestRun = Extract<ScriptRun, { kind: "query" | "procedure" }>;

/** What came with a request, as JSON text. */
export function requestText(run: RequestRun): string {
  if (run.kind === "query") return `{"params":${paramsText(run.query.params)}}`;
  return `{"params":${paramsText(run.procedure.params)},"input":${run.procedure.input}}`;
}

/** Queries and procedures keep somebody waiting; a job may take as long as it likes, within its memory. */
export function limitsFor(kind: ScriptRun["kind"], given: Partial<Limits>): Limits {
  if (kind === "job")
    return {
      ...defaultLimits,
      ...given,
      instructions: Number.POSITIVE_INFINITY,
      milliseconds: Number.POSITIVE_INFINITY,
    };
  const isEvent = kind === "record" || kind === "label";
  const milliseconds = isEvent ? eventMilliseconds : defaultLimits.milliseconds;
  return { ...defaultLimits, milliseconds, ...given };
}

interface Parts extends Pick<EngineRun, "globals" | "input" | "onlyTables" | "isLenient" | "isRawPerCall"> {
  /** Beside what every run has; `json` holds values that are JSON text already. */
  context: { plain: object; json?: Readonly<Record<string, string>> };
}

function partsOf(run: ScriptRun): Parts {
  switch (run.kind) {
    case "record":
      return recordParts(run);
    case "label":
      return labelParts(run);
    case "job":
      return jobParts(run);
    default:
      return requestParts(run);
  }
}

function recordParts({ env, event }: Extract<ScriptRun, { kind: "record" }>): Parts {
  const { action, uri, did, collection, rkey, record } = event;
  const fields = JSON.stringify({ action, uri, did, collection, rkey }).slice(0, -1);
  // `record` is nil on delete, but `event.record` went through JSON and is its null.
  const own = record === null ? "" : `,"record":${record}`;
  const globals = `${fields}${own},"event":${fields},"record":${record ?? "null"}},"env":${JSON.stringify(env)}}`;
  return { globals, input: "event", context: { plain: { caller_did: did, collection } }, onlyTables: true };
}

function labelParts({ env, label }: Extract<ScriptRun, { kind: "label" }>): Parts {
  const { src, uri, val, neg, cts, exp } = label;
  const event = { src, uri, val, neg, cts, exp };
  const globals = JSON.stringify({ ...event, event, env });
  return { globals, input: "event", context: { plain: {} }, onlyTables: true };
}

/** `job` gets its functions from the Lua side; its input is the first argument of `handle`. */
function jobParts({ env, job }: Extract<ScriptRun, { kind: "job" }>): Parts {
  const id = JSON.stringify(job.id);
  const globals =
    `{"caller_did":${JSON.stringify(job.createdBy)},"env":${JSON.stringify(env)},` +
    `"job":{"id":${id},"input":${job.input}}}`;
  const context = { plain: { caller_did: job.createdBy }, json: { job: `{"id":${id}}` } };
  return { globals, input: "job", context, onlyTables: false, isLenient: true, isRawPerCall: true };
}

function requestParts(run: RequestRun): Parts {
  const request = run.kind === "query" ? run.query : run.procedure;
  const { method, callerDid, collection } = request;
  const delegate = run.kind === "procedure" ? run.procedure.delegateDid : undefined;
  const plain = { method, collection, caller_did: callerDid, delegate_did: delegate };
  const params = paramsText(request.params);
  const json: Readonly<Record<string, string>> =
    run.kind === "query" ? { params } : { params, input: run.procedure.input };
  const globals = JSON.stringify({ ...plain, env: run.env }).slice(0, -1) + members(json) + "}";
  return {
    globals,
    input: run.kind === "query" ? "params" : "input",
    context: { plain, ...(run.kind === "procedure" ? { json: { params } } : {}) },
    onlyTables: false,
  };
}

/** `,"key":<json>` for each. */
function members(json: Readonly<Record<string, string>> = {}): string {
  return Object.entries(json)
    .map(([key, text]) => `,${JSON.stringify(key)}:${text}`)
    .join("");
}

function paramsText(params: QueryRequest["params"]): string {
  const texts = Object.entries(params).map(([key, value]) => `${JSON.stringify(key)}:${paramText(value)}`);
  return `{${texts.join(",")}}`;
}

function paramText(value: ScriptParam): string {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return formatFloat(value);
  return JSON.stringify(value);
}
