import { createUtilities } from "../../../../plugins/lua-scripts/api/utilities.ts";
import type {
  Engine,
  HostApi,
  Limits,
  ScriptOutcome,
} from "../../../../plugins/lua-scripts/engine/engine.ts";
import { createLua54Engine } from "../../../../plugins/lua-scripts/engine/lua54/index.ts";
import {
  limitsFor,
  toEngineRun,
  type QueryRequest,
  type RecordEvent,
} from "../../../../plugins/lua-scripts/engine/script-run.ts";

/** 20 May 2026, 12:00:00.123456 UTC. */
export const now = 1_779_278_400_123.456;

export function createTestEngine(api: HostApi = {}): Engine {
  let tick = 0;
  return createLua54Engine({
    utilities: createUtilities({ now: () => now, random: () => 0.5 }),
    api,
    seed: () => [BigInt(++tick), 0n],
  });
}

export interface QueryInput extends Partial<QueryRequest> {
  env?: Record<string, string>;
  limits?: Partial<Limits>;
}

export async function runQuery(engine: Engine, body: string, input: QueryInput = {}): Promise<ScriptOutcome> {
  const { env = {}, limits = {}, ...query } = input;
  const script = { trigger: "xrpc.query:test.example.query", body };
  const request = { method: "test.example.query", params: {}, collection: "test.example.record", ...query };
  return engine.run(toEngineRun({ kind: "query", script, env, query: request }, limitsFor("query", limits)));
}

/** The body of `handle` as a query; its result as JSON text. */
export async function evaluate(engine: Engine, code: string, input: QueryInput = {}): Promise<string> {
  const outcome = await runQuery(engine, `function handle(input, ctx)\n${code}\nend`, input);
  if (outcome.kind === "error") throw new Error(`${outcome.error.type}: ${outcome.error.message}`);
  return outcome.kind === "nil" ? "null" : outcome.json;
}

const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

export const createEvent: RecordEvent = {
  action: "create",
  uri: `at://${did}/test.example.record/1`,
  did,
  collection: "test.example.record",
  rkey: "1",
  record: '{"$type":"test.example.record","title":"One","count":5}',
};

export const deleteEvent: RecordEvent = { ...createEvent, action: "delete", record: null };

export async function runRecord(
  engine: Engine,
  body: string,
  event: RecordEvent = createEvent,
): Promise<ScriptOutcome> {
  const script = { trigger: "record.index:test.example.record", body };
  return engine.run(
    toEngineRun({ kind: "record", script, env: { KEY: "value" }, event }, limitsFor("record", {})),
  );
}
