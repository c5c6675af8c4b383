import { defaultLimits, type EngineRun, type Limits } from "./engine.ts";
import { formatFloat } from "./json-float.ts";

export interface ScriptSource {
  /** Such as `record.index:xyz.statusphere.status`; error messages and tracebacks name it. */
  trigger: string;
  body: string;
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

interface AnyRun {
  script: ScriptSource;
  env: Readonly<Record<string, string>>;
  limits?: Partial<Limits>;
}

export type ScriptRun = AnyRun &
  ({ kind: "record"; event: RecordEvent } | { kind: "query"; query: QueryRequest });

const recordMilliseconds = 30_000;

/** The globals, input and context of a run (spec 1.3, 3.2, 5.1), limits filled in. */
export function toEngineRun(job: ScriptRun, limits: Limits): EngineRun {
  const { trigger: chunkName, body } = job.script;
  const base = { chunkName, body, limits: { ...limits, ...job.limits } };
  return job.kind === "record" ? { ...base, ...recordParts(job) } : { ...base, ...queryParts(job) };
}

export function limitsFor(kind: ScriptRun["kind"], given: Partial<Limits>): Limits {
  const milliseconds = kind === "record" ? recordMilliseconds : defaultLimits.milliseconds;
  return { ...defaultLimits, milliseconds, ...given };
}

type Parts = Pick<EngineRun, "globals" | "input" | "context" | "onlyTables">;

function recordParts({ script, env, event }: Extract<ScriptRun, { kind: "record" }>): Parts {
  const { action, uri, did, collection, rkey, record } = event;
  const fields = JSON.stringify({ action, uri, did, collection, rkey }).slice(0, -1);
  // `record` is nil on delete, but `event.record` went through JSON and is its null.
  const own = record === null ? "" : `,"record":${record}`;
  const globals = `${fields}${own},"event":${fields},"record":${record ?? "null"}},"env":${JSON.stringify(env)}}`;
  const context = { trigger: script.trigger, caller_did: did, has_pds_auth: false, collection };
  return { globals, input: "event", context: JSON.stringify(context), onlyTables: true };
}

function queryParts({ script, env, query }: Extract<ScriptRun, { kind: "query" }>): Parts {
  const { method, callerDid, collection } = query;
  const fields = JSON.stringify({ method, collection, caller_did: callerDid }).slice(0, -1);
  const params = Object.entries(query.params).map(
    ([key, value]) => `${JSON.stringify(key)}:${paramText(value)}`,
  );
  const globals = `${fields},"params":{${params.join(",")}},"env":${JSON.stringify(env)}}`;
  const context = { trigger: script.trigger, caller_did: callerDid, has_pds_auth: false, method, collection };
  return { globals, input: "params", context: JSON.stringify(context), onlyTables: false };
}

function paramText(value: ScriptParam): string {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return formatFloat(value);
  return JSON.stringify(value);
}
